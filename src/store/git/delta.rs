//! Deltas: an object as what differs from an earlier version of itself.

/// A git delta made of the common head, the new middle and the common tail: exact for an entry put
/// into a folder and for lines added to a file, which is all that happens here.
pub(super) fn between(base: &[u8], new: &[u8]) -> Vec<u8> {
    let head = common_head(base, new);
    let rest = base.len().min(new.len()) - head;
    let tail = common_tail(&base[base.len() - rest..], &new[new.len() - rest..]);
    let mut out = Vec::new();
    size(base.len(), &mut out);
    size(new.len(), &mut out);
    copy(0, head, &mut out);
    for chunk in new[head..new.len() - tail].chunks(127) {
        out.push(chunk.len() as u8);
        out.extend_from_slice(chunk);
    }
    copy(base.len() - tail, tail, &mut out);
    out
}

/// Compared in blocks, which is many times faster than byte by byte.
const BLOCK: usize = 256;

fn common_head(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).take_while(|(a, b)| a == b).count() * BLOCK;
    blocks + a[blocks..].iter().zip(&b[blocks..]).take_while(|(a, b)| a == b).count()
}

fn common_tail(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.rchunks_exact(BLOCK).zip(b.rchunks_exact(BLOCK)).take_while(|(a, b)| a == b).count() * BLOCK;
    let (a, b) = (&a[..a.len() - blocks], &b[..b.len() - blocks]);
    blocks + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// What `delta` makes of `base`, read the way git documents it; `None` when it is no delta of it.
pub(super) fn apply(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut rest = delta.iter().copied();
    let mut size = || {
        let (mut n, mut shift) = (0usize, 0);
        loop {
            let byte = rest.next()?;
            n |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
    };
    if size()? != base.len() {
        return None;
    }
    let expected = size()?;
    let mut out = Vec::new();
    while let Some(op) = rest.next() {
        if op == 0 {
            return None; // reserved
        }
        if op & 0x80 == 0 {
            for _ in 0..op {
                out.push(rest.next()?);
            }
            continue;
        }
        let (mut offset, mut len) = (0usize, 0usize);
        for bit in (0..7).filter(|bit| op & (1 << bit) != 0) {
            let byte = usize::from(rest.next()?);
            if bit < 4 { offset |= byte << (8 * bit) } else { len |= byte << (8 * (bit - 4)) }
        }
        let len = if len == 0 { 0x10000 } else { len };
        out.extend_from_slice(base.get(offset..offset + len)?);
    }
    (out.len() == expected).then_some(out)
}

/// Seven bits a byte, lowest first, the top bit set on all but the last.
fn size(mut n: usize, out: &mut Vec<u8>) {
    while n > 0x7f {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Copy instructions: a mask of the bytes that follow, then those of offset and length that are not
/// zero. The base is at most 4 GiB, because files are bounded far below.
fn copy(mut offset: usize, mut len: usize, out: &mut Vec<u8>) {
    while len > 0 {
        let step = len.min(0xffff);
        let mask_at = out.len();
        out.push(0x80);
        let bytes = (offset as u32).to_le_bytes().into_iter().chain((step as u16).to_le_bytes());
        for (bit, byte) in bytes.enumerate() {
            if byte != 0 {
                out.push(byte);
                out[mask_at] |= 1 << bit;
            }
        }
        offset += step;
        len -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_restore_what_they_encode() {
        let long: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let mut cut = long.clone();
        cut.splice(1000..70_000, *b"a line in the middle");
        let grown = [&long[..], &[7; 1000]].concat();
        let cases: [(&[u8], &[u8]); 8] = [
            (b"", b""),
            (b"", b"new"),
            (b"gone", b""),
            (b"same", b"same"),
            (b"aaaa", b"aaaaaa"),
            (b"abcabc", b"abc"),
            (&long, &cut),
            (&long, &grown),
        ];
        for (base, new) in cases {
            assert_eq!(apply(base, &between(base, new)).as_deref(), Some(new), "{} -> {} bytes", base.len(), new.len());
        }
        assert!(between(&long, &grown).len() < 1200, "an appended file must cost only what was appended");
    }
}
