//! Where everything stands, as a function of the size of the terminal alone (and of what is open).

use ratatui::layout::Rect;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Below 40x8: one line that says so.
    Line,
    /// Below 80x24: the list or the detail.
    One,
    /// The list over the detail.
    Stacked,
    /// From 110 columns: the list beside the detail.
    Beside,
}

/// The parts of the screen. A part of height 0 is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Regions {
    pub(crate) room: Room,
    pub(crate) tabs: Rect,
    pub(crate) rule: Rect,
    pub(crate) list: Rect,
    /// The line over the detail that names what it shows.
    pub(crate) heading: Rect,
    pub(crate) detail: Rect,
    /// The column between list and detail.
    pub(crate) divider: Rect,
    /// The form, when one is open.
    pub(crate) prompt: Rect,
    pub(crate) message: Rect,
    pub(crate) footer: Rect,
}

/// Tells how much room a terminal has.
pub(crate) fn room(columns: u16, rows: u16) -> Room {
    match (columns, rows) {
        (c, r) if c < 40 || r < 8 => Room::Line,
        (c, r) if c < 80 || r < 24 => Room::One,
        (c, _) if c < 110 => Room::Stacked,
        _ => Room::Beside,
    }
}

/// What a screen wants of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Rows that the list would take.
    pub(crate) rows: usize,
    /// Percent of the columns for the list where it stands beside the detail.
    pub(crate) percent: u16,
    /// Percent of the rows that the list may take where it stands over the detail.
    pub(crate) percent_over: u16,
    /// Height of the form.
    pub(crate) prompt: u16,
    /// Which of the two is shown where there is room for one.
    pub(crate) detail_first: bool,
}

/// Divides the screen.
pub(crate) fn regions(columns: u16, rows: u16, wish: Wish) -> Regions {
    let none = Rect::new(0, 0, 0, 0);
    let room = room(columns, rows);
    let line = |y: u16| Rect::new(0, y, columns, 1);
    let mut r = Regions {
        room,
        tabs: none,
        rule: none,
        list: none,
        heading: none,
        detail: none,
        divider: none,
        prompt: none,
        message: none,
        footer: none,
    };
    if room == Room::Line {
        return r;
    }
    r.tabs = line(0);
    r.rule = line(1);
    r.footer = line(rows - 1);
    r.message = line(rows - 2);
    let prompt = wish.prompt.min(rows.saturating_sub(7));
    r.prompt = Rect::new(0, rows - 2 - prompt, columns, prompt);
    let body = Rect::new(0, 2, columns, rows - 4 - prompt);
    match room {
        Room::Line => {}
        Room::One if wish.detail_first => {
            r.heading = Rect { height: 1, ..body };
            r.detail = Rect { y: body.y + 1, height: body.height - 1, ..body };
        }
        Room::One => r.list = body,
        Room::Stacked => {
            let most = (body.height * wish.percent_over / 100).max(3);
            let list = u16::try_from(wish.rows).unwrap_or(u16::MAX).clamp(3, most).min(body.height.saturating_sub(2));
            r.list = Rect { height: list, ..body };
            r.heading = Rect { y: body.y + list, height: 1, ..body };
            r.detail = Rect { y: body.y + list + 1, height: body.height - list - 1, ..body };
        }
        Room::Beside => {
            let left = u16::try_from(u32::from(columns) * u32::from(wish.percent) / 100).unwrap_or(columns);
            r.list = Rect { width: left, ..body };
            r.divider = Rect { x: left, width: 1, ..body };
            let right = Rect { x: left + 2, width: columns - left - 2, ..body };
            r.heading = Rect { height: 1, ..right };
            r.detail = Rect { y: right.y + 1, height: right.height - 1, ..right };
        }
    }
    r
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_lies_on_the_screen_at_every_size() {
        for columns in 0..200 {
            for rows in 0..80 {
                for prompt in [0, 1, 9, 300] {
                    for first in [false, true] {
                        let wish = Wish { rows: 12, percent: 60, percent_over: 60, prompt, detail_first: first };
                        let r = regions(columns, rows, wish);
                        let screen = Rect::new(0, 0, columns, rows);
                        for part in
                            [r.tabs, r.rule, r.list, r.heading, r.detail, r.divider, r.prompt, r.message, r.footer]
                        {
                            assert_eq!(part.intersection(screen).area(), part.area(), "{columns}x{rows} {part:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_steps_are_those_of_the_page() {
        for (columns, rows, expected) in [
            (120, 40, Room::Beside),
            (110, 24, Room::Beside),
            (109, 24, Room::Stacked),
            (80, 24, Room::Stacked),
            (79, 24, Room::One),
            (200, 23, Room::One),
            (40, 8, Room::One),
            (39, 8, Room::Line),
            (40, 7, Room::Line),
            (1, 1, Room::Line),
            (0, 0, Room::Line),
        ] {
            assert_eq!(room(columns, rows), expected, "{columns}x{rows}");
        }
    }
}
