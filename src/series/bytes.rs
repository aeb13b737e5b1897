//! Numbers as few bytes. Reading gives `None` where the bytes end or mean nothing.

/// Small numbers of either sign get small codes.
fn fold(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

fn unfold(code: u64) -> i64 {
    (code >> 1).cast_signed() ^ -(code & 1).cast_signed()
}

/// Seven bits a byte, the lowest first.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Whole numbers that go on evenly: how each step differs from the one before, and how often it does not.
pub(super) fn put_even(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let (mut before, mut step, mut same) = (0i64, 0i64, 0u64);
    for number in numbers {
        let now = number.wrapping_sub(before);
        let change = now.wrapping_sub(step);
        (before, step) = (number, now);
        if change == 0 {
            same += 1;
            continue;
        }
        put_same(out, &mut same);
        put(out, fold(change));
    }
    put_same(out, &mut same);
}

fn put_same(out: &mut Vec<u8>, same: &mut u64) {
    if *same > 0 {
        put(out, 0);
        put(out, *same);
        *same = 0;
    }
}

/// Hands over so many of the numbers that [`put_even`] wrote.
pub(super) fn each_even<T>(bytes: &mut &[u8], number: usize, mut each: impl FnMut(i64) -> T) -> Option<()> {
    let (mut before, mut step, mut left) = (0i64, 0i64, number as u64);
    while left > 0 {
        let code = take(bytes)?;
        let (change, times) = if code == 0 { (0, take(bytes)?.min(left)) } else { (unfold(code), 1) };
        if times == 0 {
            return None;
        }
        step = step.wrapping_add(change);
        for _ in 0..times {
            before = before.wrapping_add(step);
            each(before);
        }
        left -= times;
    }
    Some(())
}

/// Powers of ten that a decimal fraction is looked for with.
const TENS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Marks values that are no decimal fractions.
const BITS: u8 = 0xff;

/// Values: as decimal fractions of the same length where all of them are, as what is printed mostly is; else the bytes in
/// which each differs from the one before.
pub(super) fn put_values(out: &mut Vec<u8>, values: &[f64]) {
    let mut places = 0;
    let decimal = values.iter().all(|value| match digits(*value, places) {
        Some(needed) => {
            places = needed;
            true
        }
        None => false,
    });
    if decimal {
        out.push(u8::try_from(places).unwrap_or(BITS));
        let mut before = 0;
        for value in values {
            let whole = whole(value * TENS[places]);
            put(out, fold(whole - before));
            before = whole;
        }
        return;
    }
    out.push(BITS);
    let mut before = 0u64;
    for value in values {
        put_bits(out, value.to_bits() ^ before);
        before = value.to_bits();
    }
}

/// How many decimal places make the value whole, at least `places`; `None` when that is not exact.
fn digits(value: f64, places: usize) -> Option<usize> {
    (places..TENS.len()).find(|places| {
        let scaled = value * TENS[*places];
        scaled.abs() < 4e15 && back(whole(scaled), *places).to_bits() == value.to_bits()
    })
}

#[expect(clippy::cast_possible_truncation, reason = "only what is exact is kept")]
fn whole(scaled: f64) -> i64 {
    scaled.round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "only what is exact is kept")]
fn back(whole: i64, places: usize) -> f64 {
    whole as f64 / TENS[places]
}

/// Hands over so many of the values that [`put_values`] wrote.
pub(super) fn each_value(bytes: &mut &[u8], number: usize, mut each: impl FnMut(f64)) -> Option<()> {
    let (kind, rest) = bytes.split_first()?;
    *bytes = rest;
    if *kind == BITS {
        let mut before = 0u64;
        for _ in 0..number {
            before ^= take_bits(bytes)?;
            each(f64::from_bits(before));
        }
        return Some(());
    }
    let places = usize::from(*kind);
    TENS.get(places)?;
    let mut before = 0i64;
    for _ in 0..number {
        before = before.wrapping_add(unfold(take(bytes)?));
        each(back(before, places));
    }
    Some(())
}

/// A byte for where the others are that are not zero, and those.
fn put_bits(out: &mut Vec<u8>, bits: u64) {
    let low = if bits == 0 { 0 } else { bits.trailing_zeros() / 8 };
    let length = 8 - (bits >> (8 * low)).leading_zeros() / 8;
    out.push(u8::try_from(low << 4 | length).unwrap_or(0));
    let all = (bits >> (8 * low)).to_le_bytes();
    out.extend(all.iter().take(length as usize));
}

fn take_bits(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first()?;
    let (low, length) = (u32::from(head >> 4), usize::from(head & 0xf));
    if low > 7 || length > 8 {
        return None;
    }
    let (own, rest) = rest.split_at_checked(length)?;
    let mut all = [0; 8];
    all[..length].copy_from_slice(own);
    *bytes = rest;
    Some(u64::from_le_bytes(all) << (8 * low))
}
