//! Decodes the bytes of a QR code into characters. A code declares its encoding with the number of an "extended channel
//! interpretation" (ECI, AIM ITS/04-023).

use alloc::string::String;

/// Decodes `bytes` and appends the characters to `text`. `eci` is the number of the encoding that the code declares, if
/// any. Returns `None` if the encoding is not supported, or if `bytes` contains a byte that is invalid in the encoding.
pub(super) fn decode(bytes: &[u8], eci: Option<u32>, text: &mut String) -> Option<()> {
    match eci {
        None => match str::from_utf8(bytes) {
            Ok(read) => text.push_str(read),
            Err(_) if is_latin(bytes) => text.extend(bytes.iter().map(|byte| char::from(*byte))),
            Err(_) => return None,
        },
        Some(UTF_8) => text.push_str(str::from_utf8(bytes).ok()?),
        Some(25 | 33) => {
            let (pairs, rest) = bytes.as_chunks();
            let read = if eci == Some(25) { u16::from_be_bytes } else { u16::from_le_bytes };
            for character in char::decode_utf16(pairs.iter().map(|pair| read(*pair))) {
                text.push(character.ok()?);
            }
            return rest.is_empty().then_some(());
        }
        Some(34 | 35) => {
            let (fours, rest) = bytes.as_chunks();
            let read = if eci == Some(34) { u32::from_be_bytes } else { u32::from_le_bytes };
            for four in fours {
                text.push(char::from_u32(read(*four))?);
            }
            return rest.is_empty().then_some(());
        }
        // In all of these encodings, the lower half is ASCII. For some of them, only that half is supported, because a
        // URI needs only ASCII.
        Some(eci @ (0..=13 | 15..=18 | 20..=24 | 27..=32 | 170)) => {
            let upper = upper_half(eci);
            let first = 256 - upper.chars().count();
            for byte in bytes {
                text.push(if byte.is_ascii() {
                    char::from(*byte)
                } else {
                    let index = usize::from(*byte).checked_sub(first)?;
                    upper.chars().nth(index).filter(|character| *character != char::REPLACEMENT_CHARACTER)?
                });
            }
        }
        Some(_) => return None,
    }
    Some(())
}

/// Returns whether bytes with no declared encoding are plausible as ISO 8859-1, the QR code standard's default.
///
/// Most programs write UTF-8 instead, some follow the standard, and a few use their region's local encoding. Text in a
/// local encoding becomes a wrong string if it is read as ISO 8859-1. The wrong string contains control characters, or
/// a run of accented letters that does not occur in names. Names have at most two such letters in a row, both
/// lowercase.
fn is_latin(bytes: &[u8]) -> bool {
    let is_small = |byte: &u8| *byte >= 0xdf && *byte != 0xf7;
    bytes.iter().all(|byte| byte.is_ascii() || *byte >= 0xa0)
        && bytes.split(u8::is_ascii).all(|row| row.len() < 2 || (row.len() == 2 && row.iter().all(is_small)))
}

const UTF_8: u32 = 26;

/// Returns the characters that the upper bytes, up to 0xff, stand for in encodings of European languages. U+FFFD stands
/// for a byte that the encoding does not define. The string is empty for other encodings.
fn upper_half(eci: u32) -> &'static str {
    match eci {
        1 | 3 => {
            "\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ"
        }
        0 | 2 => {
            "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτ\
            ΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"
        }
        4 => {
            "\u{a0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{ad}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüý\
            ţ˙"
        }
        5 => {
            "\u{a0}Ħ˘£¤�Ĥ§¨İŞĞĴ\u{ad}�Ż°ħ²³´µĥ·¸ışğĵ½�żÀÁÂ�ÄĊĈÇÈÉÊËÌÍÎÏ�ÑÒÓÔĠÖ×ĜÙÚÛÜŬŜßàáâ�äċĉçèéêëìíîï�ñòóôġö÷ĝùúûüŭ\
            ŝ˙"
        }
        6 => {
            "\u{a0}ĄĸŖ¤ĨĻ§¨ŠĒĢŦ\u{ad}Ž¯°ą˛ŗ´ĩļˇ¸šēģŧŊžŋĀÁÂÃÄÅÆĮČÉĘËĖÍÎĪĐŅŌĶÔÕÖ×ØŲÚÛÜŨŪßāáâãäåæįčéęëėíîīđņōķôõö÷øųúûüũ\
            ū˙"
        }
        7 => {
            "\u{a0}ЁЂЃЄЅІЇЈЉЊЋЌ\u{ad}ЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя№ёђѓєѕіїјљњћќ§\
            ўџ"
        }
        9 => {
            "\u{a0}‘’£€₯¦§¨©ͺ«¬\u{ad}�―°±²³΄΅Ά·ΈΉΊ»Ό½ΎΏΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡ�ΣΤΥΦΧΨΩΪΫάέήίΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύ\
            ώ�"
        }
        11 => {
            "\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞßàáâãäåæçèéêëìíîïğñòóôõö÷øùúûüı\
            şÿ"
        }
        12 => {
            "\u{a0}ĄĒĢĪĨĶ§ĻĐŠŦŽ\u{ad}ŪŊ°ąēģīĩķ·ļđšŧž―ūŋĀÁÂÃÄÅÆĮČÉĘËĖÍÎÏÐŅŌÓÔÕÖŨØŲÚÛÜÝÞßāáâãäåæįčéęëėíîïðņōóôõöũøųúûüý\
            þĸ"
        }
        15 => {
            "\u{a0}”¢£¤„¦§Ø©Ŗ«¬\u{ad}®Æ°±²³“µ¶·ø¹ŗ»¼½¾æĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽßąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüż\
            ž’"
        }
        16 => {
            "\u{a0}Ḃḃ£ĊċḊ§Ẁ©ẂḋỲ\u{ad}®ŸḞḟĠġṀṁ¶ṖẁṗẃṠỳẄẅṡÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏŴÑÒÓÔÕÖṪØÙÚÛÜÝŶßàáâãäåæçèéêëìíîïŵñòóôõöṫøùúûüý\
            ŷÿ"
        }
        17 => {
            "\u{a0}¡¢£€¥Š§š©ª«¬\u{ad}®¯°±²³Žµ¶·ž¹º»ŒœŸ¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüý\
            þÿ"
        }
        18 => {
            "\u{a0}ĄąŁ€„Š§š©Ș«Ź\u{ad}źŻ°±ČłŽ”¶·žčș»ŒœŸżÀÁÂĂÄĆÆÇÈÉÊËÌÍÎÏĐŃÒÓÔŐÖŚŰÙÚÛÜĘȚßàáâăäćæçèéêëìíîïđńòóôőöśűùúûüę\
            țÿ"
        }
        21 => {
            "€�‚�„…†‡�‰Š‹ŚŤŽŹ�‘’“”•–—�™š›śťžź\u{a0}ˇ˘Ł¤Ą¦§¨©Ş«¬\u{ad}®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝ\
            Ţßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙"
        }
        22 => {
            "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—�™љ›њќћџ\u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕїАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭ\
            ЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя"
        }
        23 => {
            "€�‚ƒ„…†‡ˆ‰Š‹Œ�Ž��‘’“”•–—˜™š›œ�žŸ\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝ\
            Þßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ"
        }
        _ => "",
    }
}
