//! Just enough of the ELF format to tell who loads a program, and to let somebody else load its copy.
//! Reads and changes bytes in memory; knows no file and starts nothing.

/// What cannot be done with these bytes, in words that follow the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadElf {
    #[error("is not a 64-bit little-endian ELF file")]
    NotElf,
    #[error("ends before its own tables say")]
    Short,
    #[error("has a loader with a path too short to be replaced ({0})")]
    NoRoom(String),
}

const PT_INTERP: u32 = 3;

/// Where the path of the loader stands: offset and length with its final zero. `None` in a static program.
fn interpreter(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadElf> {
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(BadElf::NotElf);
    }
    let entry = u16_at(bytes, 54)?;
    let count = u16_at(bytes, 56)?;
    let table = usize_at(bytes, 32)?;
    for number in 0..usize::from(count) {
        let at = table.checked_add(number * usize::from(entry)).ok_or(BadElf::Short)?;
        if u32_at(bytes, at)? == PT_INTERP {
            let (offset, length) = (usize_at(bytes, at.saturating_add(8))?, usize_at(bytes, at.saturating_add(32))?);
            let end = offset.checked_add(length).ok_or(BadElf::Short)?;
            return if end <= bytes.len() && length > 0 { Ok(Some((offset, length))) } else { Err(BadElf::Short) };
        }
    }
    Ok(None)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BadElf> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    found.copied().ok_or(BadElf::Short)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, BadElf> {
    Ok(u16::from_le_bytes(array(bytes, at)?))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BadElf> {
    Ok(u32::from_le_bytes(array(bytes, at)?))
}

fn usize_at(bytes: &[u8], at: usize) -> Result<usize, BadElf> {
    usize::try_from(u64::from_le_bytes(array(bytes, at)?)).map_err(|_| BadElf::Short)
}

/// The path of the program's loader; `None` when it is static and needs none.
pub(super) fn loader(bytes: &[u8]) -> Result<Option<String>, BadElf> {
    let Some((offset, length)) = interpreter(bytes)? else { return Ok(None) };
    let text = &bytes[offset..offset + length];
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(length);
    Ok(Some(String::from_utf8_lossy(&text[..end]).into_owned()))
}

/// Replaces the path of the loader in place; a static program stays as it is.
pub(super) fn set_loader(bytes: &mut [u8], path: &str) -> Result<(), BadElf> {
    let Some((offset, length)) = interpreter(bytes)? else { return Ok(()) };
    if path.len() >= length {
        let old = String::from_utf8_lossy(&bytes[offset..offset + length]).trim_end_matches('\0').to_owned();
        return Err(BadElf::NoRoom(old));
    }
    let text = &mut bytes[offset..offset + length];
    text.fill(0);
    text[..path.len()].copy_from_slice(path.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, one program header of this kind, and the path.
    fn elf(kind: u32, path: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes[72..80].copy_from_slice(&120u64.to_le_bytes());
        bytes[96..104].copy_from_slice(&(path.len() as u64).to_le_bytes());
        bytes.extend_from_slice(path);
        bytes
    }

    #[test]
    fn the_loader_is_read_and_replaced_in_its_place() {
        let mut bytes = elf(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
        assert_eq!(loader(&bytes), Ok(Some("/lib64/ld-linux-x86-64.so.2".into())));
        let length = bytes.len();
        assert_eq!(set_loader(&mut bytes, "/run/dogwatch/b/ld.so"), Ok(()));
        assert_eq!((loader(&bytes), bytes.len()), (Ok(Some("/run/dogwatch/b/ld.so".into())), length));
        let too_long = "/".repeat(28);
        assert!(matches!(set_loader(&mut bytes, &too_long), Err(BadElf::NoRoom(_))));
    }

    #[test]
    fn what_is_static_needs_none_and_what_is_broken_is_refused() {
        let mut fixed = elf(1, b"");
        assert_eq!((loader(&fixed), set_loader(&mut fixed, "/x")), (Ok(None), Ok(())));
        assert_eq!(loader(b"#!/bin/sh\n"), Err(BadElf::NotElf));
        let whole = elf(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
        for cut in 0..whole.len() {
            assert!(loader(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut mad = whole.clone();
        mad[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(loader(&mad), Err(BadElf::Short));
        let mut mad = whole;
        mad[72..80].copy_from_slice(&(u64::MAX - 3).to_le_bytes());
        assert_eq!(loader(&mad), Err(BadElf::Short));
    }
}
