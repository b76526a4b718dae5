//! A list whose cursor stays with the thing it points at, whatever arrives.

use std::collections::BTreeSet;

/// The rows of a list: which are shown, in which order, and which one the operator looks at.
///
/// New rows wait until they are taken in, so nothing moves under the eye. A row that is gone stays while
/// the cursor is on it.
#[derive(Debug, Clone)]
pub(crate) struct Rows<I> {
    /// The order of the latest views.
    latest: Vec<I>,
    /// The order on the screen, before filters.
    shown: Vec<I>,
    /// What passes the filters, in the order of the screen.
    visible: Vec<I>,
    cursor: Option<I>,
    /// The first visible row on the screen.
    top: usize,
    /// Rows that wait to be taken in.
    fresh: usize,
    /// What the operator typed after `/`.
    pub(crate) filter: String,
}

impl<I> Default for Rows<I> {
    fn default() -> Self {
        Self {
            latest: Vec::new(),
            shown: Vec::new(),
            visible: Vec::new(),
            cursor: None,
            top: 0,
            fresh: 0,
            filter: String::new(),
        }
    }
}

impl<I: Clone + Ord> Rows<I> {
    /// Notes the rows of new views. They are shown at once only where nothing was shown before.
    pub(crate) fn offer(&mut self, ids: Vec<I>) {
        self.latest = ids;
        if self.shown.is_empty() {
            self.take_in();
            return;
        }
        let here: BTreeSet<&I> = self.latest.iter().collect();
        let cursor = self.cursor.clone();
        self.shown.retain(|i| here.contains(i) || cursor.as_ref() == Some(i));
        self.count_fresh();
    }

    /// Shows all rows in the order of the latest views.
    pub(crate) fn take_in(&mut self) {
        let gone = self.cursor.clone().filter(|c| !self.latest.contains(c));
        let at = gone.as_ref().and_then(|c| self.shown.iter().position(|i| i == c));
        self.shown = self.latest.clone();
        if let (Some(gone), Some(at)) = (gone, at) {
            self.shown.insert(at.min(self.shown.len()), gone);
        }
        self.count_fresh();
    }

    /// Applies the filters. The row under the cursor always passes: it leaves when the cursor does.
    pub(crate) fn refresh(&mut self, passes: impl Fn(&I) -> bool) {
        let cursor = self.cursor.clone();
        self.visible = self.shown.iter().filter(|i| cursor.as_ref() == Some(*i) || passes(i)).cloned().collect();
        if self.cursor.is_none() {
            self.cursor = self.visible.first().cloned();
        }
    }

    /// Applies the filters anew after they changed, the row under the cursor included: the cursor then
    /// goes to the first row that passes.
    pub(crate) fn aim(&mut self, passes: impl Fn(&I) -> bool) {
        if self.cursor.as_ref().is_some_and(|c| !passes(c)) {
            self.cursor = None;
        }
        self.refresh(passes);
    }

    /// Moves the cursor by `by` rows, stopping at the ends. Returns whether it moved.
    pub(crate) fn step(&mut self, by: isize) -> bool {
        let last = self.visible.len().saturating_sub(1);
        let to = self.position().unwrap_or(0).saturating_add_signed(by).min(last);
        let before = self.cursor.take();
        self.cursor = self.visible.get(to).cloned();
        self.cursor != before
    }

    /// Points at `id`, taking it in when it is known.
    pub(crate) fn point_at(&mut self, id: &I) -> bool {
        if !self.shown.contains(id) {
            self.take_in();
        }
        let known = self.shown.contains(id);
        if known {
            self.cursor = Some(id.clone());
        }
        known
    }

    /// Moves the window so that the cursor is in it.
    pub(crate) fn scroll_to_cursor(&mut self, height: usize) {
        let at = self.position().unwrap_or(0);
        let last_top = self.visible.len().saturating_sub(height);
        self.top = self.top.min(last_top).min(at).max((at + 1).saturating_sub(height));
    }

    pub(crate) fn cursor(&self) -> Option<&I> {
        self.cursor.as_ref()
    }

    pub(crate) fn visible(&self) -> &[I] {
        &self.visible
    }

    /// The place of the cursor among the visible rows.
    pub(crate) fn position(&self) -> Option<usize> {
        let cursor = self.cursor.as_ref()?;
        self.visible.iter().position(|i| i == cursor)
    }

    pub(crate) fn top(&self) -> usize {
        self.top
    }

    pub(crate) fn fresh(&self) -> usize {
        self.fresh
    }

    fn count_fresh(&mut self) {
        let here: BTreeSet<&I> = self.shown.iter().collect();
        self.fresh = self.latest.iter().filter(|i| !here.contains(i)).count();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(ids: &[u8]) -> Rows<u8> {
        let mut rows = Rows::default();
        rows.offer(ids.to_vec());
        rows.refresh(|_| true);
        rows
    }

    #[test]
    fn arrivals_wait_and_what_is_gone_stays_under_the_cursor() {
        let mut rows = rows(&[1, 2, 3]);
        rows.step(1);
        rows.offer(vec![9, 3, 1]);
        rows.refresh(|_| true);
        assert_eq!((rows.visible(), rows.cursor(), rows.fresh()), (&[1, 2, 3][..], Some(&2), 1));
        rows.take_in();
        rows.refresh(|_| true);
        assert_eq!((rows.visible(), rows.cursor()), (&[9, 2, 3, 1][..], Some(&2)));
        rows.step(1);
        rows.offer(vec![9, 3, 1]);
        rows.refresh(|_| true);
        assert_eq!((rows.visible(), rows.cursor()), (&[9, 3, 1][..], Some(&3)));
    }

    #[test]
    fn a_filter_takes_the_cursor_along_only_when_it_changes() {
        let mut rows = rows(&[1, 2, 3]);
        rows.refresh(|i| *i > 1);
        assert_eq!((rows.visible(), rows.cursor()), (&[1, 2, 3][..], Some(&1)));
        rows.aim(|i| *i > 1);
        assert_eq!((rows.visible(), rows.cursor()), (&[2, 3][..], Some(&2)));
        rows.aim(|_| false);
        assert_eq!((rows.visible().len(), rows.cursor()), (0, None));
    }

    proptest! {
        #[test]
        fn arrivals_never_move_the_cursor(
            first in proptest::collection::btree_set(0u8..40, 1..12),
            steps in 0isize..12,
            later in proptest::collection::vec(proptest::collection::btree_set(0u8..40, 0..12), 1..8),
            pass in 0u8..40,
        ) {
            let mut rows = rows(&first.into_iter().collect::<Vec<_>>());
            rows.step(steps);
            let cursor = rows.cursor().copied();
            for (n, ids) in later.into_iter().enumerate() {
                rows.offer(ids.into_iter().rev().collect());
                if n % 2 == 1 { rows.take_in(); }
                rows.refresh(|i| *i >= pass);
                rows.scroll_to_cursor(3);
                prop_assert_eq!(rows.cursor().copied(), cursor);
                let at = rows.position().expect("the cursor's row is visible");
                prop_assert!((rows.top()..rows.top() + 3).contains(&at));
            }
        }
    }
}
