//! What is known of each passage beside its text: who and what it is about, when it was recorded,
//! when it holds, and where its line is.
//!
//! Times are microseconds since 1970, as the store writes them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array, builder::StringBuilder, types::UInt32Type,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use cairn_store_layout::passage::Passage;

use super::Doubt;

/// Where a line is: in which of the catalogue's files, at which byte, and its length with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl Place {
    /// Of a passage whose line has not been met.
    pub(crate) const NONE: Self = Self { file: u32::MAX, offset: u64::MAX, len: 0 };
}

/// A passage on its way into columns.
pub(crate) struct NewRow<'a> {
    pub(crate) passage: &'a Passage,
    pub(crate) place: Place,
    /// Whether an earlier row has the same id.
    pub(crate) again: bool,
}

/// A line that says of a passage that it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forget {
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) place: Place,
}

/// The rows of one segment.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(super) batch: RecordBatch,
    id: StringArray,
    file: UInt32Array,
    offset: UInt64Array,
    len: UInt32Array,
    recorded: TimestampMicrosecondArray,
    from: TimestampMicrosecondArray,
    to: TimestampMicrosecondArray,
    kind: DictionaryArray<UInt32Type>,
    entity: DictionaryArray<UInt32Type>,
    labels: ListArray,
    label_codes: DictionaryArray<UInt32Type>,
    supersedes: ListArray,
    superseded: StringArray,
    length: UInt32Array,
    again: BooleanArray,
    /// Rows in the order of their ids; equal ids in the order of the rows.
    by_id: UInt32Array,
    /// All lengths together.
    pub(crate) words: u64,
}

impl Rows {
    pub(super) fn new(batch: RecordBatch) -> Result<Self, Doubt> {
        let labels: ListArray = column(&batch, "labels")?;
        let supersedes: ListArray = column(&batch, "supersedes")?;
        let length: UInt32Array = column(&batch, "length")?;
        Ok(Self {
            id: column(&batch, "id")?,
            file: column(&batch, "file")?,
            offset: column(&batch, "offset")?,
            len: column(&batch, "len")?,
            recorded: column(&batch, "recorded_at")?,
            from: column(&batch, "valid_from")?,
            to: column(&batch, "valid_to")?,
            kind: column(&batch, "kind")?,
            entity: column(&batch, "entity")?,
            label_codes: typed(labels.values(), "labels")?,
            labels,
            superseded: typed(supersedes.values(), "supersedes")?,
            supersedes,
            words: length.values().iter().map(|n| u64::from(*n)).sum(),
            length,
            again: column(&batch, "again")?,
            by_id: column(&batch, "by_id")?,
            batch,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.id.len()
    }

    pub(crate) fn id(&self, i: usize) -> &str {
        self.id.value(i)
    }

    pub(crate) fn place(&self, i: usize) -> Place {
        Place { file: self.file.value(i), offset: self.offset.value(i), len: self.len.value(i) }
    }

    pub(crate) fn recorded(&self, i: usize) -> i64 {
        self.recorded.value(i)
    }

    pub(crate) fn valid_from(&self, i: usize) -> Option<i64> {
        self.from.is_valid(i).then(|| self.from.value(i))
    }

    pub(crate) fn valid_to(&self, i: usize) -> Option<i64> {
        self.to.is_valid(i).then(|| self.to.value(i))
    }

    /// How many words it has.
    pub(crate) fn length(&self, i: usize) -> u32 {
        self.length.value(i)
    }

    pub(crate) fn again(&self, i: usize) -> bool {
        self.again.value(i)
    }

    pub(crate) fn supersedes(&self, i: usize) -> impl Iterator<Item = &str> {
        let offsets = self.supersedes.value_offsets();
        (offsets[i] as usize..offsets[i + 1] as usize).map(|j| self.superseded.value(j))
    }

    /// Tells cheaply whether no row supersedes anything.
    pub(crate) fn supersede_nothing(&self) -> bool {
        self.superseded.is_empty()
    }

    pub(crate) fn kind(&self, i: usize) -> u32 {
        self.kind.keys().value(i)
    }

    pub(crate) fn entity(&self, i: usize) -> Option<u32> {
        self.entity.keys().is_valid(i).then(|| self.entity.keys().value(i))
    }

    pub(crate) fn labels(&self, i: usize) -> &[u32] {
        let offsets = self.labels.value_offsets();
        &self.label_codes.keys().values()[offsets[i] as usize..offsets[i + 1] as usize]
    }

    /// The codes under which this segment knows some of `kinds`; the others do not occur in it.
    pub(crate) fn kind_codes(&self, kinds: &[String]) -> Vec<u32> {
        codes(&self.kind, kinds)
    }

    /// As [`Rows::kind_codes`], for entities.
    pub(crate) fn entity_codes(&self, entities: &[String]) -> Vec<u32> {
        codes(&self.entity, entities)
    }

    /// As [`Rows::kind_codes`], for labels written by [`label`].
    pub(crate) fn label_codes(&self, labels: &[String]) -> Vec<u32> {
        codes(&self.label_codes, labels)
    }

    /// The rows with an id, in order.
    pub(crate) fn with_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = usize> + 'a {
        let order = self.by_id.values();
        let start = order.partition_point(|i| self.id(*i as usize) < id);
        order[start..].iter().map(|i| *i as usize).take_while(move |i| self.id(*i) == id)
    }

    /// The rows whose ids begin so, in the order of their ids.
    pub(crate) fn with_prefix<'a>(&'a self, head: &'a str) -> impl Iterator<Item = usize> + 'a {
        let order = self.by_id.values();
        let start = order.partition_point(|i| self.id(*i as usize) < head);
        order[start..].iter().map(|i| *i as usize).take_while(move |i| self.id(*i).starts_with(head))
    }
}

/// A label as one text: no two labels are written alike.
pub(crate) fn label(name: &str, value: &str) -> String {
    serde_json::to_string(&(name, value)).expect("two texts are written without fail")
}

/// Gathers rows.
#[derive(Default)]
pub(super) struct RowsBuilder {
    id: Vec<String>,
    places: Vec<Place>,
    recorded: Vec<i64>,
    from: Vec<Option<i64>>,
    to: Vec<Option<i64>>,
    kind: Codes,
    entity: Codes,
    labels: Codes,
    label_ends: Vec<usize>,
    supersedes: Vec<String>,
    supersede_ends: Vec<usize>,
    length: Vec<u32>,
    again: Vec<bool>,
}

impl RowsBuilder {
    pub(super) fn len(&self) -> usize {
        self.id.len()
    }

    pub(super) fn push(&mut self, row: &NewRow<'_>, length: u32) {
        let passage = row.passage;
        self.id.push(passage.id.clone());
        self.places.push(row.place);
        self.recorded.push(passage.recorded_at.as_microsecond());
        self.from.push(passage.valid_from.map(jiff::Timestamp::as_microsecond));
        self.to.push(passage.valid_to.map(jiff::Timestamp::as_microsecond));
        self.kind.push(Some(&passage.kind));
        self.entity.push(passage.entity.as_deref());
        for (name, value) in &passage.labels {
            self.labels.push(Some(&label(name, value)));
        }
        self.label_ends.push(self.labels.keys.len());
        self.supersedes.extend(passage.supersedes.iter().cloned());
        self.supersede_ends.push(self.supersedes.len());
        self.length.push(length);
        self.again.push(row.again);
    }

    /// Takes over a row of another segment.
    pub(super) fn push_from(&mut self, rows: &Rows, i: usize) {
        self.id.push(rows.id(i).to_owned());
        self.places.push(rows.place(i));
        self.recorded.push(rows.recorded(i));
        self.from.push(rows.valid_from(i));
        self.to.push(rows.valid_to(i));
        self.kind.push(Some(value(&rows.kind, rows.kind(i))));
        self.entity.push(rows.entity(i).map(|code| value(&rows.entity, code)));
        for code in rows.labels(i) {
            self.labels.push(Some(value(&rows.label_codes, *code)));
        }
        self.label_ends.push(self.labels.keys.len());
        self.supersedes.extend(rows.supersedes(i).map(str::to_owned));
        self.supersede_ends.push(self.supersedes.len());
        self.length.push(rows.length(i));
        self.again.push(rows.again(i));
    }

    pub(super) fn finish(self) -> Result<Rows, Doubt> {
        let mut by_id: Vec<u32> = (0..u32::try_from(self.id.len()).map_err(Doubt::of)?).collect();
        by_id.sort_by(|a, b| self.id[*a as usize].cmp(&self.id[*b as usize]));
        let time = |values: TimestampMicrosecondArray| Arc::new(values.with_timezone("UTC")) as ArrayRef;
        let labels = self.labels.finish();
        let supersedes = Arc::new(StringArray::from_iter_values(&self.supersedes)) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(StringArray::from_iter_values(&self.id)) as ArrayRef, false),
            ("file", Arc::new(UInt32Array::from_iter_values(self.places.iter().map(|p| p.file))), false),
            ("offset", Arc::new(UInt64Array::from_iter_values(self.places.iter().map(|p| p.offset))), false),
            ("len", Arc::new(UInt32Array::from_iter_values(self.places.iter().map(|p| p.len))), false),
            ("recorded_at", time(self.recorded.into()), false),
            ("valid_from", time(self.from.into()), true),
            ("valid_to", time(self.to.into()), true),
            ("kind", self.kind.finish(), false),
            ("entity", self.entity.finish(), true),
            ("labels", list(labels, &self.label_ends)?, false),
            ("supersedes", list(supersedes, &self.supersede_ends)?, false),
            ("length", Arc::new(UInt32Array::from(self.length)), false),
            ("again", Arc::new(BooleanArray::from(self.again)), false),
            ("by_id", Arc::new(UInt32Array::from(by_id)), false),
        ]);
        Rows::new(batch.map_err(Doubt::of)?)
    }
}

/// Lines that forget, as a batch.
pub(super) fn forgets_batch(forgets: &[Forget]) -> Result<RecordBatch, Doubt> {
    let places = || forgets.iter().map(|f| f.place);
    RecordBatch::try_from_iter([
        ("id", Arc::new(StringArray::from_iter_values(forgets.iter().map(|f| &f.id))) as ArrayRef),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(forgets.iter().map(|f| f.at)).with_timezone("UTC")),
        ),
        ("file", Arc::new(UInt32Array::from_iter_values(places().map(|p| p.file)))),
        ("offset", Arc::new(UInt64Array::from_iter_values(places().map(|p| p.offset)))),
        ("len", Arc::new(UInt32Array::from_iter_values(places().map(|p| p.len)))),
    ])
    .map_err(Doubt::of)
}

/// The lines of such a batch.
pub(super) fn forgets(batch: &RecordBatch) -> Result<Vec<Forget>, Doubt> {
    let id: StringArray = column(batch, "id")?;
    let at: TimestampMicrosecondArray = column(batch, "at")?;
    let file: UInt32Array = column(batch, "file")?;
    let offset: UInt64Array = column(batch, "offset")?;
    let len: UInt32Array = column(batch, "len")?;
    let place = |i| Place { file: file.value(i), offset: offset.value(i), len: len.value(i) };
    Ok((0..batch.num_rows()).map(|i| Forget { id: id.value(i).to_owned(), at: at.value(i), place: place(i) }).collect())
}

/// Returns a column by its name and type.
pub(super) fn column<T: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<T, Doubt> {
    let column = batch.column_by_name(name).ok_or_else(|| Doubt(format!("there is no column `{name}`")))?;
    typed(column, name)
}

pub(super) fn typed<T: Array + Clone + 'static>(column: &ArrayRef, name: &str) -> Result<T, Doubt> {
    column.as_any().downcast_ref::<T>().cloned().ok_or_else(|| Doubt(format!("column `{name}` has another type")))
}

/// Lists of `values`, each up to one of `ends`.
pub(super) fn list(values: ArrayRef, ends: &[usize]) -> Result<ArrayRef, Doubt> {
    let lengths = ends.iter().scan(0, |before, end| Some(end - std::mem::replace(before, *end)));
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), false));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None).map_err(Doubt::of)?))
}

/// A column of few different texts.
#[derive(Default)]
struct Codes {
    keys: Vec<Option<u32>>,
    known: HashMap<String, u32>,
}

impl Codes {
    fn push(&mut self, text: Option<&str>) {
        let code = text.map(|text| match self.known.get(text) {
            Some(code) => *code,
            None => {
                let code = u32::try_from(self.known.len()).expect("fewer texts than rows");
                self.known.insert(text.to_owned(), code);
                code
            }
        });
        self.keys.push(code);
    }

    fn finish(self) -> ArrayRef {
        let ordered: BTreeMap<u32, String> = self.known.into_iter().map(|(text, code)| (code, text)).collect();
        let mut values = StringBuilder::new();
        ordered.into_values().for_each(|text| values.append_value(text));
        Arc::new(DictionaryArray::<UInt32Type>::new(UInt32Array::from(self.keys), Arc::new(values.finish())))
    }
}

fn value(column: &DictionaryArray<UInt32Type>, code: u32) -> &str {
    texts(column).value(code as usize)
}

fn codes(column: &DictionaryArray<UInt32Type>, wanted: &[String]) -> Vec<u32> {
    let known = (0u32..).zip(texts(column).iter().flatten());
    known.filter(|(_, text)| wanted.iter().any(|w| w == text)).map(|(code, _)| code).collect()
}

fn texts(column: &DictionaryArray<UInt32Type>) -> &StringArray {
    debug_assert_eq!(column.values().data_type(), &DataType::Utf8);
    column.values().as_any().downcast_ref().expect("made by `Codes`, and its schema is hashed with the file")
}
