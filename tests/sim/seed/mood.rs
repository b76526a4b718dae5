//! What kind of world a seed is.

use crate::{shared::random::Random, sink::Manners, workload::Taste};

/// What kind of world this seed is: each one does much of some things and little of others.
pub(super) struct Mood {
    pub(super) machines: usize,
    pub(super) manners: Manners,
    pub(super) acts: usize,
    pub(super) wild: usize,
    /// How often, in percent, a blow is prepared before an act.
    pub(super) blows: usize,
    pub(super) power: usize,
    pub(super) faults: usize,
    pub(super) weights: [usize; ACTS.len()],
    pub(super) taste: Taste,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Start,
    Decide,
    Next,
    Wait,
    Edit,
    Kill,
    Stop,
    Second,
    Mischief,
    Derived,
    Jump,
    Cancel,
}

pub(super) const ACTS: [(Act, usize); 12] = [
    (Act::Start, 12),
    (Act::Decide, 20),
    (Act::Next, 40),
    (Act::Wait, 8),
    (Act::Edit, 4),
    (Act::Kill, 3),
    (Act::Stop, 2),
    (Act::Second, 1),
    (Act::Mischief, 2),
    (Act::Derived, 1),
    (Act::Jump, 1),
    (Act::Cancel, 2),
];

impl Mood {
    pub(super) fn draw(chance: &mut Random, machines: usize) -> Self {
        let some = |chance: &mut Random, most: usize| if chance.coin() { 0 } else { chance.below(most) };
        let manners = Manners {
            soft: some(chance, 40),
            hard: some(chance, 10),
            business: some(chance, 10),
            lost: some(chance, 40),
            doubled: some(chance, 40),
            slow: some(chance, 90),
            large: some(chance, 40),
        };
        Self {
            machines: if chance.below(5) == 0 { 1 + chance.below(machines) } else { 1 },
            manners,
            acts: 8 + chance.below(24),
            wild: 2 + chance.below(6),
            blows: [0, 10, 25, 50][chance.below(4)],
            power: chance.below(101),
            faults: [0, 10, 30, 60][chance.below(4)],
            weights: ACTS.map(|(_, weight)| weight * (1 + chance.below(4))),
            taste: Taste::default(),
        }
    }
}
