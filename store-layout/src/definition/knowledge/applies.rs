//! Where a piece of knowledge applies, and how narrowly.

/// Where it applies. A list that is empty asks for nothing; one that is not needs one match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applies {
    /// Workflows.
    pub workflow: Vec<Pattern>,
    /// Steps of them.
    pub step: Vec<Pattern>,
    /// Entities, such as `client/brandt-gmbh` or `client/*`.
    pub entity: Vec<Pattern>,
}

/// A name, or the beginning of one with a `*` after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// What knowledge is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The workflow.
    pub workflow: Option<String>,
    /// The step that will use it.
    pub step: Option<String>,
    /// Whom or what it is about.
    pub entity: Option<String>,
}

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    /// When it is empty, long, or holds what no name holds; in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'/');
        if text.is_empty() || text.len() > 128 || !name.bytes().all(plain) {
            return Err(format!("`{text}` names nothing: write a name, or its beginning and a `*` such as client/*"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether `name` fits.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }

    /// Tells whether it names one thing alone.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.ends_with('*')
    }

    /// Tells whether some name could fit both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        match (self.0.strip_suffix('*'), other.0.strip_suffix('*')) {
            (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
            (None, _) => other.fits(&self.0),
            (_, None) => self.fits(&other.0),
        }
    }
}

impl Applies {
    /// Tells whether it applies to what is asked. Who restricts themselves to something that the question does not
    /// name, does not apply.
    #[must_use]
    pub fn fits(&self, asked: &Asked) -> bool {
        let fit = |patterns: &[Pattern], name: &Option<String>| {
            patterns.is_empty() || name.as_ref().is_some_and(|name| patterns.iter().any(|p| p.fits(name)))
        };
        fit(&self.workflow, &asked.workflow) && fit(&self.step, &asked.step) && fit(&self.entity, &asked.entity)
    }

    /// How narrow it is for what is asked; more is narrower. An entity weighs more than a step, a step more than a
    /// workflow, a name more than a beginning.
    #[must_use]
    pub fn rank(&self, asked: &Asked) -> (u8, u8, u8) {
        let one = |patterns: &[Pattern], name: &Option<String>| {
            let Some(name) = name else { return 0 };
            patterns.iter().filter(|p| p.fits(name)).map(|p| 1 + u8::from(p.is_exact())).max().unwrap_or(0)
        };
        (one(&self.entity, &asked.entity), one(&self.step, &asked.step), one(&self.workflow, &asked.workflow))
    }

    /// How narrow it is at the most, whatever is asked.
    #[must_use]
    pub fn narrowness(&self) -> (u8, u8, u8) {
        let one = |patterns: &[Pattern]| patterns.iter().map(|p| 1 + u8::from(p.is_exact())).max().unwrap_or(0);
        (one(&self.entity), one(&self.step), one(&self.workflow))
    }

    /// Tells whether there is a question to which both apply.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let meet = |a: &[Pattern], b: &[Pattern]| {
            a.is_empty() || b.is_empty() || a.iter().any(|a| b.iter().any(|b| a.meets(b)))
        };
        meet(&self.workflow, &other.workflow) && meet(&self.step, &other.step) && meet(&self.entity, &other.entity)
    }

    /// Every pattern, with the word of what it restricts.
    pub fn patterns(&self) -> impl Iterator<Item = (&'static str, &Pattern)> {
        let parts = [("workflow", &self.workflow), ("step", &self.step), ("entity", &self.entity)];
        parts.into_iter().flat_map(|(word, patterns)| patterns.iter().map(move |p| (word, p)))
    }

    /// In a few words, such as `entity client/*, step letter`.
    #[must_use]
    pub fn words(&self) -> String {
        let parts = [("entity", &self.entity), ("step", &self.step), ("workflow", &self.workflow)];
        let said = parts.into_iter().filter(|(_, patterns)| !patterns.is_empty()).map(|(word, patterns)| {
            let names: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
            format!("{word} {}", names.join(" or "))
        });
        let said: Vec<String> = said.collect();
        if said.is_empty() { "everything".to_owned() } else { said.join(", ") }
    }
}
