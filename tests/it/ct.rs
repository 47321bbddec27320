use keyfob::ct;

#[test]
fn equal_and_unequal_at_every_length() {
    // Up to two ends of 64 bytes and around the blocks of 512.
    for length in (0..=200).chain([511, 512, 513, 575, 576, 577, 1023, 1024, 1025, 4096]) {
        let a: Vec<u8> = (0..length).map(|i| (i * 7 + 3) as u8).collect();
        let mut b = a.clone();
        assert!(ct::eq(&a, &b), "{length}");
        for position in 0..length {
            for bit in 0..8 {
                b[position] ^= 1 << bit;
                assert!(!ct::eq(&a, &b), "length {length}, bit {bit} of byte {position}");
                b[position] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn every_difference_counts() {
    // Two differences must not cancel out, wherever they stand: in one word, in two ends, in two lanes of many blocks.
    for length in [2, 3, 5, 8, 16, 20, 33, 64, 65, 130, 300, 576] {
        for first in 0..length {
            for second in 0..length {
                let mut b = vec![0; length];
                b[first] = 0x80;
                b[second] = 0x80;
                assert!(!ct::eq(&vec![0; length], &b));
            }
        }
    }
}

#[test]
fn lengths_differ() {
    for a in 0..70 {
        for b in 0..70 {
            assert_eq!(ct::eq(&vec![0; a], &vec![0; b]), a == b);
        }
    }
}
