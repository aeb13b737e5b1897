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
    #[error("has no place to name a folder of libraries in")]
    NoPlace,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
/// Entries of the dynamic section: the names' table, a folder of libraries, what only debuggers read, the same folder as
/// newer linkers write it.
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_DEBUG: u64 = 21;
const DT_RUNPATH: u64 = 29;

/// A part of the file as it is loaded: its kind, where it stands, how long it is, and at which address it will be.
struct Part {
    kind: u32,
    offset: usize,
    length: usize,
    address: u64,
}

fn parts(bytes: &[u8]) -> Result<Vec<Part>, BadElf> {
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(BadElf::NotElf);
    }
    let entry = u16_at(bytes, 54)?;
    let count = u16_at(bytes, 56)?;
    let table = usize_at(bytes, 32)?;
    let one = |number: usize| {
        let at = table.checked_add(number * usize::from(entry)).ok_or(BadElf::Short)?;
        let (kind, offset) = (u32_at(bytes, at)?, usize_at(bytes, at.saturating_add(8))?);
        let (address, length) = (usize_at(bytes, at.saturating_add(16))?, usize_at(bytes, at.saturating_add(32))?);
        Ok(Part { kind, offset, length, address: address as u64 })
    };
    (0..usize::from(count)).map(one).collect()
}

/// Where the path of the loader stands: offset and length with its final zero. `None` in a static program.
fn interpreter(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadElf> {
    let Some(Part { offset, length, .. }) = parts(bytes)?.into_iter().find(|part| part.kind == PT_INTERP) else {
        return Ok(None);
    };
    let end = offset.checked_add(length).ok_or(BadElf::Short)?;
    if end <= bytes.len() && length > 0 { Ok(Some((offset, length))) } else { Err(BadElf::Short) }
}

/// Makes the program look for its libraries in a folder first, whatever variables say. `folder` ends with a zero and must
/// stand in the program's own data; a static program stays as it is. The entry of debuggers gives its place.
pub(super) fn set_search(bytes: &mut [u8], folder: &[u8]) -> Result<(), BadElf> {
    let parts = parts(bytes)?;
    let part = |kind: u32| parts.iter().find(|part| part.kind == kind);
    // One that is static may have the section all the same, and its start refuses such an entry.
    let (Some(dynamic), Some(_)) = (part(PT_DYNAMIC), part(PT_INTERP)) else { return Ok(()) };
    let stands = |part: &Part| {
        let end = part.offset.checked_add(part.length)?;
        let at = memchr::memmem::find(bytes.get(part.offset..end)?, folder)?;
        part.address.checked_add(at as u64)
    };
    let address = parts.iter().filter(|part| part.kind == PT_LOAD).find_map(stands).ok_or(BadElf::NoPlace)?;
    let (mut names, mut place) = (None, None);
    for at in (dynamic.offset..dynamic.offset.saturating_add(dynamic.length)).step_by(16) {
        match usize_at(bytes, at)? as u64 {
            0 => break,
            DT_STRTAB => names = Some(usize_at(bytes, at.saturating_add(8))? as u64),
            DT_RPATH | DT_RUNPATH => place = Some(at),
            DT_DEBUG => place = place.or(Some(at)),
            _ => {}
        }
    }
    let (names, place) = names.zip(place).ok_or(BadElf::NoPlace)?;
    let entry = bytes.get_mut(place..).and_then(|rest| rest.get_mut(..16)).ok_or(BadElf::Short)?;
    entry[..8].copy_from_slice(&DT_RPATH.to_le_bytes());
    // Names are found by adding to their table's address; that the sum goes round does not matter.
    entry[8..].copy_from_slice(&address.wrapping_sub(names).to_le_bytes());
    Ok(())
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

    /// The whole of a program: a part that is loaded at an address, and in it the dynamic section and the folder.
    #[test]
    fn the_folder_of_libraries_is_named_in_the_debuggers_place() {
        let folder = b"/run/dogwatch/b/lib\0";
        let whole = |entries: &[(u64, u64)], text: &[u8], last: u32| {
            let mut bytes = vec![0u8; 64 + 3 * 56];
            bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
            bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
            bytes[56..58].copy_from_slice(&3u16.to_le_bytes());
            bytes[176..180].copy_from_slice(&last.to_le_bytes());
            let (begin, dynamic) = (bytes.len() as u64, entries.len() as u64 * 16);
            for (at, kind, length) in [(64, PT_LOAD, dynamic + text.len() as u64), (120, PT_DYNAMIC, dynamic)] {
                bytes[at..at + 4].copy_from_slice(&kind.to_le_bytes());
                bytes[at + 8..at + 16].copy_from_slice(&begin.to_le_bytes());
                bytes[at + 16..at + 24].copy_from_slice(&0x10_000u64.to_le_bytes());
                bytes[at + 32..at + 40].copy_from_slice(&length.to_le_bytes());
            }
            for (tag, value) in entries {
                bytes.extend_from_slice(&tag.to_le_bytes());
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            bytes.extend_from_slice(text);
            bytes
        };
        let entries = [(DT_STRTAB, 0x20_000), (DT_DEBUG, 0), (0, 0)];
        let mut bytes = whole(&entries, b"some/run/dogwatch/b/lib\0thing", PT_INTERP);
        assert_eq!(set_search(&mut bytes, folder), Ok(()));
        let place = 64 + 3 * 56 + 16;
        assert_eq!(usize_at(&bytes, place), Ok(15));
        let value = usize_at(&bytes, place + 8).expect("a value") as u64;
        assert_eq!(value.wrapping_add(0x20_000), 0x10_000 + 48 + 4, "it stands there when it is loaded");
        assert_eq!(set_search(&mut whole(&entries, b"nothing", PT_INTERP), folder), Err(BadElf::NoPlace));
        assert_eq!(set_search(&mut whole(&entries[..1], folder, PT_INTERP), folder), Err(BadElf::NoPlace));
        let (mut fixed, same) = (whole(&entries, folder, 0), whole(&entries, folder, 0));
        assert_eq!((set_search(&mut fixed, folder), fixed == same), (Ok(()), true), "what is static needs none");
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
