//! Amounts of bytes, for people.

/// `812 B`, `1.5 KiB`, `41 GiB`: two digits that mean something.
pub fn size_words(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if tenths >= 100 || unit == 0 {
        format!("{} {}", tenths / 10, UNITS[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_shortly() {
        let told = [0, 1023, 1536, 5 << 30, 250 << 20].map(size_words);
        assert_eq!(told, ["0 B", "1023 B", "1.5 KiB", "5.0 GiB", "250 MiB"]);
    }
}
