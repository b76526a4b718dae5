//! Everything derived is deleted and made again from the passages, with the vectors at hand.

use std::fs;

use cairn::bench::{
    clock::Stretch,
    figure::{Figure, Target},
};
use cairn_store_layout::paths;

use crate::{
    broken::{During as _, Result},
    engine::{self, HITS},
    invent::Inventor,
    speed::Sized,
};

const PART: &str = "rebuild";
/// Questions that must be answered as before.
const ASKED: usize = 50;
/// Folders that hold nothing but what is derived.
const DERIVED: [&str; 4] = [paths::VECTORS, paths::INDEX, ".cairn/views", ".cairn/cache"];

/// Measures over a store, which is afterwards as it was.
pub(crate) fn measure(sized: &Sized, say: &dyn Fn(&str)) -> Result<Vec<Figure>> {
    let size = sized.size;
    say("  rebuilding all that is derived");
    let questions = Inventor::default().questions(ASKED, size);
    let answers = |memory: &cairn_memory::Memory| -> Result<Vec<Vec<String>>> {
        questions.iter().map(|question| engine::ask(memory, question, HITS)).collect()
    };
    let before = answers(&engine::open(&sized.stage.root, &sized.stage.machine)?)?;
    for folder in DERIVED {
        let folder = sized.stage.root.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).during("remove what is derived")?;
        }
    }
    let memory = engine::open_with(&sized.stage.root, &sized.stage.machine, sized.prepared())?;
    let mut told = Vec::new();
    let begun = Stretch::begin();
    memory.rebuild(&mut |done, of| told.push((done, of))).during("rebuild the memory")?;
    let cost = begun.cost();
    let after = answers(&engine::open(&sized.stage.root, &sized.stage.machine)?)?;
    let same = before.iter().zip(&after).filter(|(before, after)| before == after).count();
    let steps = told.windows(2).filter(|pair| pair[1].0 > pair[0].0).count();
    let ended = told.last().is_some_and(|(done, of)| done == of);
    let name = |what: &str| format!("{size} passages: {what}");
    let seconds = Figure::new(PART, name("rebuild, vectors at hand"), cost.wall, "s");
    Ok(vec![
        Figure::new(PART, name("answers as before"), same as f64, "of 50").aim(Target::AtLeast(ASKED as f64)),
        Figure::new(PART, name("progress told, steps"), steps as f64, "steps"),
        Figure::new(PART, name("progress told to its end"), f64::from(u8::from(ended)), "of 1")
            .aim(Target::AtLeast(1.0)),
        if size == 100_000 { seconds.aim(Target::AtMost(10.0)) } else { seconds },
        Figure::new(PART, name("rebuild, CPU"), cost.cpu, "s"),
    ])
}
