//! Which fragments of a table are merged: those of one tier, 32 at a time.
//!
//! A fragment's tier is the logarithm of its rows to the base 32. As soon as a tier holds 32
//! fragments they become one of the next. So there are at most 31 fragments a tier, and a row is
//! rewritten once a tier: measured beside a fan of 8, which keeps fewer files, a fan of 32 leaves a
//! third fewer bytes in git. Fragments of one tier need not be neighbours, or a large flush between
//! small ones would keep them apart for ever.
//!
//! A merged file has at most 48 MiB, so that it can be pushed to a host that limits files. What has
//! grown to half of that is never touched again.

use lance::dataset::{
    Dataset,
    optimize::{CompactionOptions, CompactionPlan, CompactionPlanner, TaskData},
};

/// How many fragments of a tier are merged.
const FAN: usize = 32;
/// The most bytes of vectors in one file.
const BYTES_MAX: usize = 48 << 20;

/// How many rows of `dims` numbers a file may have.
pub(super) fn rows_max(dims: usize) -> usize {
    (BYTES_MAX / (dims.max(1) * 2)).max(FAN)
}

/// Groups of fragments to be merged, given the id and the rows of each fragment. A merge may bring
/// about another in the next tier; the group is then the whole, so that no row is written twice.
pub(super) fn merges(sizes: &[(u64, usize)], rows_max: usize) -> Vec<Vec<u64>> {
    let mut parts: Vec<(usize, Vec<u64>)> =
        sizes.iter().filter(|(_, rows)| rows * 2 <= rows_max).map(|(id, rows)| (*rows, vec![*id])).collect();
    let mut full = Vec::new();
    let mut level = 0;
    while parts.iter().any(|(rows, _)| tier(*rows) >= level) {
        let mut same: Vec<usize> = (0..parts.len()).filter(|i| tier(parts[*i].0) == level).collect();
        if same.len() < FAN {
            level += 1;
            continue;
        }
        // As many as fit into one file, the first ones first.
        let mut rows = 0;
        same.retain(|i| {
            let fits = rows + parts[*i].0 <= rows_max;
            rows += if fits { parts[*i].0 } else { 0 };
            fits
        });
        let mut ids = Vec::new();
        for i in same.iter().rev() {
            ids.extend(parts.remove(*i).1);
        }
        ids.sort_unstable();
        if rows * 2 <= rows_max { parts.push((rows, ids)) } else { full.push(ids) }
    }
    full.extend(parts.into_iter().map(|(_, ids)| ids).filter(|ids| ids.len() > 1));
    full
}

/// Hands groups that are decided upon to the library.
pub(super) struct Merge(pub(super) Vec<Vec<u64>>);

#[async_trait::async_trait]
impl CompactionPlanner for Merge {
    async fn plan(&self, table: &Dataset) -> lance::Result<CompactionPlan> {
        let task = |ids: &Vec<u64>| {
            // A fragment of which every row was dropped is gone already.
            let fragments = table.fragments().iter().filter(|f| ids.contains(&f.id)).cloned().collect();
            TaskData { fragments }
        };
        let tasks = self.0.iter().map(task).filter(|task| !task.fragments.is_empty()).collect();
        let options = CompactionOptions {
            // Sizes are decided here, not there.
            target_rows_per_fragment: usize::MAX >> 8,
            num_threads: Some(1),
            ..CompactionOptions::default()
        };
        Ok(CompactionPlan { tasks, read_version: table.version_id(), options })
    }
}

fn tier(rows: usize) -> u32 {
    rows.max(1).ilog(FAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends fragments as flushes do and merges after each; gives the sizes that are left and how many rows were
    /// written in all.
    fn grow(flushes: impl IntoIterator<Item = usize>, rows_max: usize) -> (Vec<usize>, usize) {
        let (mut table, mut written, mut next) = (Vec::<(u64, usize)>::new(), 0, 0);
        for rows in flushes {
            table.push((next, rows));
            written += rows;
            next += 1;
            for group in merges(&table, rows_max) {
                let merged: usize = table.iter().filter(|(id, _)| group.contains(id)).map(|(_, rows)| rows).sum();
                table.retain(|(id, _)| !group.contains(id));
                table.push((next, merged));
                written += merged;
                next += 1;
            }
            assert!(merges(&table, rows_max).is_empty(), "one round is enough: {table:?}");
        }
        (table.into_iter().map(|(_, rows)| rows).collect(), written)
    }

    #[test]
    fn a_tier_never_holds_more_than_31_and_a_row_is_written_once_a_tier() {
        let (sizes, written) = grow(std::iter::repeat_n(256, 400), usize::MAX);
        assert_eq!(sizes.iter().sum::<usize>(), 102_400);
        assert!(sizes.len() <= 31 + 31, "{sizes:?}");
        assert!(written <= 2 * 102_400, "{written}");
        // Small flushes at clean stops between large ones do not keep each other apart.
        let (sizes, written) = grow((0..2_000).map(|n| if n % 3 == 0 { 256 } else { 5 }), usize::MAX);
        assert!(sizes.len() <= 3 * 31, "{sizes:?}");
        assert!(written <= 4 * sizes.iter().sum::<usize>(), "{written}");
    }

    #[test]
    fn no_file_grows_past_its_bound_and_full_ones_are_left_alone() {
        let (sizes, written) = grow(std::iter::repeat_n(100, 3_000), 6_400);
        assert!(sizes.iter().all(|rows| *rows <= 6_400), "{sizes:?}");
        assert!(sizes.len() <= 300_000 / 3_200 + 62, "{}", sizes.len());
        assert!(written <= 3 * 300_000, "{written}");
    }
}
