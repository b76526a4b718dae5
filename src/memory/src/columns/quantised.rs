//! Vectors: a byte for each number in memory, half precision on disk, and a bound between them.
//!
//! A row's direction is `scale · q + e`, with `q` of bytes and the length of `e` kept as `error`; the
//! question's is `t · r + f`, with `r` of 16 bits. So the true cosine differs from `scale · t · (q · r)`
//! by at most `error · (1 + |f|) + |f|`, and what arithmetic in single precision adds is bounded by the
//! number of dimensions. Whoever asks for the best rows computes the exact cosine of every row
//! whose upper bound reaches the lower bound of the last place: the answer is that of comparing with
//! every vector, bit for bit, without having them all in memory.

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc};

use arrow_array::{ArrayRef, FixedSizeListArray, Float16Array, Float32Array, Int8Array, RecordBatch, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field};
use half::f16;

use super::{
    Doubt,
    rows::{column, typed},
};
use crate::embed::Vector;

/// The largest byte of a row. -128 is not used, so that both signs reach as far.
const BYTE_MAX: f64 = 127.0;
/// Rows this close to each other are read at once.
const GAP_ROWS: u32 = 8;
/// The most bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// From so many rows on, two threads share the comparing.
const SHARED_ROWS: usize = 20_000;

/// The vectors of one segment.
#[derive(Debug)]
pub(crate) struct Vectors {
    pub(super) near: RecordBatch,
    codes: Int8Array,
    scale: Float32Array,
    error: Float32Array,
    /// A hash of each exact vector, so that one read from a damaged file is noticed.
    check: UInt32Array,
    pub(super) exact: Exact,
    dims: usize,
}

/// Where the exact vectors are.
#[derive(Debug)]
pub(super) enum Exact {
    /// In memory: not written yet.
    Held(ScalarBuffer<f16>),
    /// In a file, one after another from a byte on.
    Filed { file: File, data: u64 },
}

impl Vectors {
    /// Takes in what an embedder made, rounded to half precision.
    pub(super) fn of(values: &[Vec<f32>], dims: usize) -> Result<Self, Doubt> {
        let exact: Vec<f16> = values.iter().flatten().map(|x| f16::from_f32(*x)).collect();
        let mut columns = Columns::default();
        exact.chunks_exact(dims.max(1)).for_each(|row| columns.push(row));
        Self::new(columns.batch(dims)?, Exact::Held(exact.into()), dims)
    }

    pub(super) fn new(near: RecordBatch, exact: Exact, dims: usize) -> Result<Self, Doubt> {
        let lists: FixedSizeListArray = column(&near, "codes")?;
        if usize::try_from(lists.value_length()) != Ok(dims) {
            return Err(Doubt(format!("its vectors have {} numbers, not {dims}", lists.value_length())));
        }
        let codes = typed(lists.values(), "codes")?;
        let (scale, error, check) = (column(&near, "scale")?, column(&near, "error")?, column(&near, "check")?);
        Ok(Self { codes, scale, error, check, near, exact, dims })
    }

    /// Joins the vectors of neighbouring segments.
    pub(super) fn join(parts: &[&Self]) -> Result<Self, Doubt> {
        let dims = parts.first().map_or(0, |part| part.dims);
        let (mut columns, mut exact) = (Columns::default(), Vec::new());
        for part in parts {
            columns.codes.extend_from_slice(part.codes.values());
            columns.scale.extend_from_slice(part.scale.values());
            columns.error.extend_from_slice(part.error.values());
            columns.check.extend_from_slice(part.check.values());
            exact.extend(part.all()?);
        }
        Self::new(columns.batch(dims)?, Exact::Held(exact.into()), dims)
    }

    pub(crate) fn len(&self) -> usize {
        self.scale.len()
    }

    pub(crate) fn dims(&self) -> usize {
        self.dims
    }

    /// The exact vectors as a column.
    pub(super) fn exact_batch(&self) -> Result<RecordBatch, Doubt> {
        let values: ScalarBuffer<f16> = self.all()?.into();
        let field = Arc::new(Field::new_list_field(DataType::Float16, false));
        let width = i32::try_from(self.dims).map_err(Doubt::of)?;
        let lists = FixedSizeListArray::try_new(field, width, Arc::new(Float16Array::new(values, None)), None);
        RecordBatch::try_from_iter([("vector", Arc::new(lists.map_err(Doubt::of)?) as ArrayRef)]).map_err(Doubt::of)
    }

    fn all(&self) -> Result<Vec<f16>, Doubt> {
        match &self.exact {
            Exact::Held(values) => Ok(values.to_vec()),
            Exact::Filed { .. } => {
                let rows: Vec<u32> = (0..u32::try_from(self.len()).map_err(Doubt::of)?).collect();
                let mut out = Vec::with_capacity(rows.len() * self.dims);
                self.read(&rows, |_, row| out.extend_from_slice(row))?;
                Ok(out)
            }
        }
    }

    /// Estimates the cosine of every row with the question, into `out`.
    pub(crate) fn estimate(&self, question: &Question, out: &mut [f32]) {
        let rows = self.len();
        let halves = if rows >= SHARED_ROWS { rows / 2 } else { rows };
        let (head, tail) = out.split_at_mut(halves);
        if tail.is_empty() {
            return self.estimate_from(0, question, head);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.estimate_from(halves, question, tail));
            self.estimate_from(0, question, head);
        });
    }

    fn estimate_from(&self, first: usize, question: &Question, out: &mut [f32]) {
        let codes = &self.codes.values()[first * self.dims..];
        let scales = &self.scale.values()[first..];
        for ((row, scale), out) in codes.chunks_exact(self.dims).zip(scales).zip(out) {
            *out = scale * question.scale * dot(row, &question.codes) as f32;
        }
    }

    /// How far the exact cosine of a row may be from its estimate.
    pub(crate) fn bound(&self, i: usize, question: &Question) -> f32 {
        if question.error.is_infinite() {
            return f32::INFINITY; // nothing times it would be no number
        }
        self.error.value(i) * (1.0 + question.error) + question.error + question.slack
    }

    /// Reads exact vectors, given rows in ascending order.
    pub(crate) fn exact(&self, rows: &[u32]) -> Result<Vec<Vector>, Doubt> {
        let mut out = Vec::with_capacity(rows.len());
        self.read(rows, |_, row| out.push(Vector::new(row.iter().map(|x| x.to_f32()).collect())))?;
        Ok(out)
    }

    /// Hands each of `rows`, ascending, to `take`.
    fn read(&self, rows: &[u32], mut take: impl FnMut(u32, &[f16])) -> Result<(), Doubt> {
        let (file, data) = match &self.exact {
            Exact::Held(values) => {
                rows.iter().for_each(|row| take(*row, &values[*row as usize * self.dims..][..self.dims]));
                return Ok(());
            }
            Exact::Filed { file, data } => (file, *data),
        };
        let width = self.dims * 2;
        let most = u32::try_from((READ_BYTES / width.max(1)).max(1)).unwrap_or(1);
        let mut bytes = Vec::new();
        let mut vector = Vec::with_capacity(self.dims);
        for near in rows.chunk_by(|a, b| b - a <= GAP_ROWS) {
            let mut rest = near;
            while let Some(&first) = rest.first() {
                let (now, later) = rest.split_at(rest.partition_point(|row| row - first < most));
                rest = later;
                let last = *now.last().expect("it holds the first at least");
                bytes.resize((last - first + 1) as usize * width, 0);
                file.read_exact_at(&mut bytes, data + u64::from(first) * width as u64).map_err(Doubt::of)?;
                for row in now {
                    let bytes = &bytes[(row - first) as usize * width..][..width];
                    if check(bytes) != self.check.value(*row as usize) {
                        return Err(Doubt(format!("vector {row} was damaged on disk")));
                    }
                    vector.clear();
                    vector.extend(bytes.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]])));
                    take(*row, &vector);
                }
            }
        }
        Ok(())
    }
}

/// The question's vector, rounded so that its products with a row of bytes add up in 32 bits.
pub(crate) struct Question {
    codes: Vec<i16>,
    scale: f32,
    /// The length of what rounding left out.
    error: f32,
    /// What single precision may add to an estimate and to an exact cosine together.
    slack: f32,
}

impl Question {
    pub(crate) fn new(vector: &Vector) -> Self {
        let values = vector.values();
        let square: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
        let slack = (values.len() as f32 + 16.0) * 2.0 * f32::EPSILON;
        // Beyond these the squares of single precision are no numbers to reason about: every row is
        // compared exactly.
        if !(1e-20..1e20).contains(&square) {
            return Self { codes: vec![0; values.len()], scale: 0.0, error: f32::INFINITY, slack };
        }
        let norm = square.sqrt();
        let most = (f64::from(i32::MAX) / (BYTE_MAX * values.len() as f64)).floor().min(f64::from(i16::MAX));
        let largest = values.iter().fold(0.0f64, |most, x| most.max(f64::from(x.abs())));
        // The step is rounded first and the numbers after it, so that what is left out is known exactly.
        let scale = (largest / most / norm) as f32;
        let round = |x: &f32| (f64::from(*x) / norm / f64::from(scale)).round().clamp(-most, most) as i16;
        let codes: Vec<i16> = values.iter().map(round).collect();
        let left = |(x, r): (&f32, &i16)| (f64::from(*x) / norm - f64::from(scale) * f64::from(*r)).powi(2);
        let error = up(values.iter().zip(&codes).map(left).sum::<f64>().sqrt());
        Self { codes, scale, error, slack }
    }
}

/// The columns of quantised rows, being filled.
#[derive(Default)]
struct Columns {
    codes: Vec<i8>,
    scale: Vec<f32>,
    error: Vec<f32>,
    check: Vec<u32>,
}

impl Columns {
    fn push(&mut self, row: &[f16]) {
        let values = || row.iter().map(|x| x.to_f64());
        let norm = values().map(|x| x * x).sum::<f64>().sqrt();
        let largest = values().fold(0.0f64, |most, x| most.max(x.abs()));
        let scale = if norm > 0.0 { (largest / BYTE_MAX / norm) as f32 } else { 0.0 };
        let round = |x: f64| (x / norm / f64::from(scale)).round().clamp(-BYTE_MAX, BYTE_MAX) as i8;
        let error = if norm == 0.0 {
            self.codes.extend(row.iter().map(|_| 0));
            0.0 // no direction: its cosine is 0 by definition
        } else if norm.is_finite() {
            self.codes.extend(values().map(round));
            let codes = &self.codes[self.codes.len() - row.len()..];
            let left = values().zip(codes).map(|(x, q)| (x / norm - f64::from(scale) * f64::from(*q)).powi(2));
            up(left.sum::<f64>().sqrt())
        } else {
            self.codes.extend(row.iter().map(|_| 0));
            f32::INFINITY
        };
        self.scale.push(if scale.is_finite() { scale } else { 0.0 });
        self.error.push(error);
        let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.check.push(check(&bytes));
    }

    fn batch(self, dims: usize) -> Result<RecordBatch, Doubt> {
        let field = Arc::new(Field::new_list_field(DataType::Int8, false));
        let width = i32::try_from(dims).map_err(Doubt::of)?;
        let codes = FixedSizeListArray::try_new(field, width, Arc::new(Int8Array::from(self.codes)), None);
        RecordBatch::try_from_iter([
            ("codes", Arc::new(codes.map_err(Doubt::of)?) as ArrayRef),
            ("scale", Arc::new(Float32Array::from(self.scale))),
            ("error", Arc::new(Float32Array::from(self.error))),
            ("check", Arc::new(UInt32Array::from(self.check))),
        ])
        .map_err(Doubt::of)
    }
}

fn dot(row: &[i8], question: &[i16]) -> i32 {
    // Products of 16 bits into sums of 32 are what the compiler has an instruction for. The sum
    // can not overflow: `Question::new` chose its numbers so.
    row.iter().zip(question).map(|(x, y)| i32::from(i16::from(*x)) * i32::from(*y)).sum()
}

fn check(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(blake3::hash(bytes).as_bytes()[..4].try_into().expect("a hash has 32 bytes"))
}

/// Rounds a bound up into single precision, with room for its own arithmetic.
fn up(x: f64) -> f32 {
    (x * (1.0 + 1e-6) + 1e-9) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vectors(dims: usize) -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<f32>)> {
        let number = prop_oneof![4 => -1f32..1.0, 1 => Just(0.0), 1 => -1e-6f32..1e-6, 1 => -1e5f32..1e5];
        let one = prop::collection::vec(number, dims);
        (prop::collection::vec(one.clone(), 1..40), one)
    }

    proptest! {
        #[test]
        fn the_exact_cosine_lies_within_the_bound((rows, question) in (1usize..70).prop_flat_map(vectors)) {
            let dims = question.len();
            let kept = Vectors::of(&rows, dims).unwrap();
            let vector = Vector::new(question);
            let asked = Question::new(&vector);
            let mut near = vec![0.0; rows.len()];
            kept.estimate(&asked, &mut near);
            for (i, row) in rows.iter().enumerate() {
                let exact = vector.cosine(&Vector::stored(row));
                let bound = kept.bound(i, &asked);
                prop_assert!(exact.is_nan() || (exact - near[i]).abs() <= bound, "{exact} {} {bound}", near[i]);
                let read = kept.exact(&[u32::try_from(i).unwrap()]).unwrap();
                prop_assert_eq!(vector.cosine(&read[0]).to_bits(), exact.to_bits());
            }
        }
    }

    #[test]
    fn the_bound_is_tight_enough_to_be_of_use() {
        let row = |seed: u32| (0..384u32).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect();
        let rows: Vec<Vec<f32>> = (0..50).map(row).collect();
        let kept = Vectors::of(&rows, 384).unwrap();
        let asked = Question::new(&Vector::new(row(77)));
        assert!((0..50).all(|i| kept.bound(i, &asked) < 0.01));
    }

    #[test]
    fn a_question_beyond_single_precision_bounds_nothing() {
        let kept = Vectors::of(&[vec![1.0, 2.0]], 2).unwrap();
        for values in [vec![1e30, 1.0], vec![0.0, 0.0], vec![1e-30, 0.0]] {
            assert_eq!(kept.bound(0, &Question::new(&Vector::new(values))), f32::INFINITY);
        }
    }
}
