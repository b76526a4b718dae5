//! The verbs that need tables, in a build that has none.

use super::{Inner, Memory};
use crate::{
    Changes, EmbedError,
    catalogue::StoredVectors,
    columns::Doubt,
    error::{MemoryError, Result},
};

impl Memory {
    /// Brings the columns in order; this build has no vector tables.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn flush(&self) -> Result<Changes> {
        let mut inner = self.lock();
        (inner.waiting, inner.waiting_since) = (0, None);
        if let Some(state) = &mut inner.state {
            state.catalogue.compact(self.embedder.id(), self.embedder.dims());
        }
        Ok(Changes::default())
    }

    /// Drops everything derived and makes it again from the passages. Answers are the same after
    /// it. `progress` is told how many passages of how many are done.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn rebuild(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<Changes> {
        let mut inner = self.ready()?;
        let state = inner.state.as_mut().expect("made ready above");
        self.start_again(state, false)?;
        let total = state.catalogue.len() as usize;
        progress(0, total);
        // A failing embedder is told by the next recall; words are ready either way.
        let prepared = self.prepare(&mut inner, &mut |done| progress(done, total));
        prepared.map_err(|why| MemoryError::Unsteady { why: why.0 })?;
        progress(total, total);
        Ok(Changes::default())
    }

    pub(super) fn find_index(&self, inner: &mut Inner) {
        if let Some(state) = &mut inner.state {
            state.index_tried = true;
        }
    }

    /// Makes all passages ready to be searched.
    pub(super) fn prepare(
        &self,
        inner: &mut Inner,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Option<EmbedError>, Doubt> {
        let state = inner.state.as_mut().expect("called with the files read");
        state.catalogue.prepare(self.embedder.as_ref(), &mut StoredVectors::new, progress)
    }

    pub(super) fn flushed(&self, _inner: &mut Inner) -> usize {
        0
    }
}
