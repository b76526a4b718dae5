//! The verbs that need tables, in a build that has none.

use super::{Inner, Memory};
use crate::{Changes, error::Result, scan::Scan};

impl Memory {
    /// Writes nothing: this build has no vector tables. Passages are found by scanning them.
    ///
    /// # Errors
    /// None in this build.
    pub fn flush(&self) -> Result<Changes> {
        let mut inner = self.lock();
        (inner.waiting, inner.waiting_since) = (0, None);
        Ok(Changes::default())
    }

    /// Prepares every passage for recall anew; this build keeps nothing derived on disk.
    /// `progress` is told how many passages of how many are done.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn rebuild(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<Changes> {
        let mut inner = self.ready()?;
        let state = inner.state.as_mut().expect("made ready above");
        state.scan = Scan::default();
        // A failing embedder is told by the next recall; words are ready either way.
        let _lacking = state.scan.catch_up(&state.catalogue, None, self.embedder.as_ref());
        let total = state.catalogue.len() as usize;
        progress(total, total);
        Ok(Changes::default())
    }

    pub(super) fn find_index(&self, inner: &mut Inner) {
        if let Some(state) = &mut inner.state {
            state.index_tried = true;
        }
    }

    pub(super) fn flushed(&self, _inner: &mut Inner) -> usize {
        0
    }
}
