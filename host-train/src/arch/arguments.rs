//! Typed access to the arguments of a TOML table, with errors that name the line.

use std::ops::Range;

use anyhow::{Result, anyhow};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest extent, count or kernel that a file may ask for.
const LARGEST: i64 = 65_535;

/// The text that spans refer to.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn line(self, span: &Range<usize>) -> usize {
        self.text.as_bytes()[..span.start.min(self.text.len())]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
            + 1
    }

    pub(super) fn error(self, line: usize, message: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("{}: line {line}: {message}", self.file)
    }
}

/// The arguments of one table: a layer, or the top of the file.
pub(super) struct Arguments<'a, 'i> {
    pub(super) source: Source<'a>,
    /// What the table is, for messages (`Conv2D`).
    pub(super) what: &'a str,
    /// Line that the table starts on.
    pub(super) line: usize,
    pub(super) table: &'a DeTable<'i>,
}

impl<'a, 'i> Arguments<'a, 'i> {
    /// Refuses arguments that are not among `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        let Some(key) = self.table.keys().find(|key| !known.contains(&key.get_ref().as_ref()))
        else {
            return Ok(());
        };
        let what = self.what;
        let takes = if known.is_empty() { "none".into() } else { known.join(", ") };
        let meant = nearest(key.get_ref(), known)
            .map(|name| format!("did you mean `{name}`? "))
            .unwrap_or_default();
        Err(self.source.error(
            self.source.line(&key.span()),
            format!("{what} has no argument `{}`; {meant}it takes: {takes}", key.get_ref()),
        ))
    }

    fn expected(&self, key: &str, value: &Spanned<DeValue<'_>>, what: &str) -> anyhow::Error {
        let line = self.source.line(&value.span());
        self.source.error(line, format!("`{key}` of {} must be {what}", self.what))
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.table.get(key)
    }

    fn parsed<T>(
        &self,
        key: &str,
        what: &str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Result<Option<T>> {
        self.value(key)
            .map(|value| read(value.get_ref()).ok_or_else(|| self.expected(key, value, what)))
            .transpose()
    }

    /// What is wrong when `key` is not given.
    pub(super) fn missing(&self, key: &str, example: &str) -> anyhow::Error {
        self.source.error(
            self.line,
            format!("{} needs `{key}`; add for example `{key} = {example}`", self.what),
        )
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        self.parsed(key, "a whole number from 1 to 65535", |v| integer(v, 1))
    }

    /// A pair, or one number for both.
    pub(super) fn pair(&self, key: &str) -> Result<Option<[usize; 2]>> {
        self.parsed(key, "a whole number from 1 to 65535, or [rows, columns] of them", |v| {
            pair(v, 1)
        })
    }

    pub(super) fn pair_or_zero(&self, key: &str) -> Result<Option<[usize; 2]>> {
        self.parsed(key, "a whole number from 0 to 65535, or [rows, columns] of them", |v| {
            pair(v, 0)
        })
    }

    /// `n`, `[rows, columns]` or `[[above, below], [before, after]]`.
    pub(super) fn margins(&self, key: &str) -> Result<Option<[[usize; 2]; 2]>> {
        let what = "a whole number, [rows, columns] or [[above, below], [before, after]]";
        self.parsed(key, what, |value| {
            if let Some([rows, columns]) = pair(value, 0) {
                return Some([[rows; 2], [columns; 2]]);
            }
            let [rows, columns] = value.as_array()?.iter().collect::<Vec<_>>().try_into().ok()?;
            Some([exact_pair(rows.get_ref())?, exact_pair(columns.get_ref())?])
        })
    }

    /// Extents; −1 is returned as `None`.
    pub(super) fn extents(&self, key: &str) -> Result<Option<Vec<Option<usize>>>> {
        self.parsed(key, "a list of whole numbers, such as [28, 28, 1]", |value| {
            let array = value.as_array()?;
            array
                .iter()
                .map(|v| match number(v.get_ref())? {
                    -1 => Some(None),
                    n => (1..=LARGEST).contains(&n).then_some(Some(n as usize)),
                })
                .collect()
        })
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.parsed(key, "true or false", |value| value.as_bool())
    }

    /// A number from `range`.
    pub(super) fn float(&self, key: &str, range: Range<f32>) -> Result<Option<f32>> {
        let what = format!("a number from {} to below {}", range.start, range.end);
        self.parsed(key, &what, |value| {
            let number = match value {
                DeValue::Integer(_) => number(value)? as f32,
                DeValue::Float(float) => float.as_str().replace('_', "").parse().ok()?,
                _ => return None,
            };
            range.contains(&number).then_some(number)
        })
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.parsed(key, "a text in quotes", |value| Some(value.as_str()?.to_owned()))
    }

    /// One of the `choices`, by name.
    pub(super) fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        self.parsed(key, &format!("one of {}", names.join(", ")), |value| {
            let text = value.as_str()?;
            choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| choice.clone())
        })
    }
}

fn number(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

fn integer(value: &DeValue<'_>, least: i64) -> Option<usize> {
    number(value).filter(|n| (least..=LARGEST).contains(n)).map(|n| n as usize)
}

fn pair(value: &DeValue<'_>, least: i64) -> Option<[usize; 2]> {
    if let Some(one) = integer(value, least) {
        return Some([one; 2]);
    }
    let items: Vec<_> = value.as_array()?.iter().collect();
    let [first, second] = items.try_into().ok()?;
    Some([integer(first.get_ref(), least)?, integer(second.get_ref(), least)?])
}

fn exact_pair(value: &DeValue<'_>) -> Option<[usize; 2]> {
    value.as_array()?;
    pair(value, 0)
}

/// The one of `known` that `word` most likely stands for.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
