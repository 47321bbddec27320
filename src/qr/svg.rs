//! Renders a QR code as SVG.

use core::fmt;

use super::Qr;

/// A QR code as an SVG element. Insert `svg.to_string()` directly into the HTML of the page.
///
/// ```
/// use keyfob::{KeyUri, Secret};
///
/// let uri = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate())?;
/// let markup = uri.qr()?.svg().with_module_size(6).to_string();
/// assert!(markup.starts_with("<svg ") && !markup.contains("style"));
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// The element is markup, so a content security policy needs no `img-src` for it. It has no `style` attribute or
/// element, so the policy needs no `style-src` either. Its default label says what the code is for and reveals nothing
/// about its content. The code is always black on white, even on a dark page, and has the light border that QR code
/// readers need.
#[derive(Clone, Copy)]
pub struct Svg<'a> {
    qr: &'a Qr,
    module_size: u16,
    label: &'a str,
}

impl<'a> Svg<'a> {
    pub(super) const fn new(qr: &'a Qr) -> Self {
        Self { qr, module_size: 5, label: "QR code to scan with an authenticator app" }
    }

    /// Sets the width and height of a module in CSS pixels, from 1 to 65535. The default is 5, and cameras need 4 or
    /// more. With 0, the image has no size and is not visible.
    #[must_use]
    pub const fn with_module_size(mut self, pixels: u16) -> Self {
        self.module_size = pixels;
        self
    }

    /// Sets the text that a screen reader reads out. Write it in the language of the page.
    #[must_use]
    pub const fn with_label(mut self, label: &'a str) -> Self {
        self.label = label;
        self
    }
}

impl fmt::Display for Svg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = self.qr.side();
        let pixels = side * usize::from(self.module_size);
        let label = Escaped(self.label);
        write!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\" \
             viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"{label}\">\
             <title>{label}</title><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\""
        )?;
        for row in 0..side {
            let mut column = 0;
            while column < side {
                let run = (column..side).take_while(|column| self.qr.is_dark(row, *column)).count();
                if run > 0 {
                    write!(f, "M{column} {row}h{run}v1h-{run}z")?;
                }
                column += run + 1;
            }
        }
        f.write_str("\"/></svg>")
    }
}

impl fmt::Debug for Svg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svg").field("qr", self.qr).finish_non_exhaustive()
    }
}

/// Text that is escaped for use in an attribute or an element.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // XML does not allow these characters, even escaped, so they are left out.
            '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => Ok(()),
            _ => write!(f, "{character}"),
        })
    }
}
