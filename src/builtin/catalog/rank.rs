//! How well a text fits a class, and why: a pure function. Imports nothing of ours.

use super::data::{Class, Data};
use std::collections::HashMap;

/// Fits below this are noise.
const LEAST_SCORE: f64 = 0.08;

/// Words of a text that count.
const WORDS: usize = 64;

/// A class with how well it fits (0 to 1) and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked<'a> {
    pub class: &'a Class,
    pub score: f64,
    pub reason: String,
}

/// Words that say nothing about a product.
const FILLERS: [&str; 12] = ["and", "for", "with", "of", "the", "in", "und", "fur", "mit", "von", "der", "die"];

/// Where a word was found, the best place first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Name,
    Synonym,
    Feature,
    Group,
}

impl Place {
    fn weight(self) -> f64 {
        match self {
            Self::Name => 1.0,
            Self::Synonym => 0.9,
            Self::Feature => 0.35,
            Self::Group => 0.25,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Synonym => "synonym",
            Self::Feature => "feature",
            Self::Group => "group",
        }
    }
}

/// Lower-case words of two letters or more, without diacritics and fillers.
pub fn words(text: &str) -> Vec<String> {
    fold(text)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() >= 2 && !FILLERS.contains(word))
        .take(WORDS)
        .map(str::to_owned)
        .collect()
}

fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'ä' | 'à' | 'á' | 'â' => out.push('a'),
            'ö' | 'ó' | 'ô' => out.push('o'),
            'ü' | 'ú' | 'û' => out.push('u'),
            'é' | 'è' | 'ê' => out.push('e'),
            'ß' => out.push_str("ss"),
            '²' => out.push('2'),
            '³' => out.push('3'),
            c => out.push(c),
        }
    }
    out
}

/// Best first: `classes` that fit `text`. A word counts for more the fewer classes know it; one that no class knows
/// counts for little.
pub fn rank<'a>(data: &Data, classes: &[&'a Class], text: &str) -> Vec<Ranked<'a>> {
    let mut asked = words(text);
    asked.sort_unstable();
    asked.dedup();
    let shapes: Vec<_> = classes.iter().map(|class| Shape::new(data, class)).collect();
    let fits: Vec<Vec<Option<(Place, f64)>>> =
        shapes.iter().map(|shape| asked.iter().map(|word| shape.fit(word)).collect()).collect();
    let weights: Vec<f64> = (0..asked.len())
        .map(|at| match fits.iter().filter(|fit| fit[at].is_some()).count() {
            0 => 0.2,
            known => (1.0 + classes.len() as f64 / known as f64).ln(),
        })
        .collect();
    let most: f64 = weights.iter().sum();
    let mut ranked: Vec<_> = classes
        .iter()
        .zip(&fits)
        .map(|(class, fit)| {
            let sum: f64 = fit.iter().zip(&weights).map(|(fit, weight)| fit.map_or(0.0, |(_, f)| f * weight)).sum();
            Ranked { class, score: round(sum / most.max(f64::EPSILON)), reason: reason(&asked, fit) }
        })
        .filter(|ranked| ranked.score >= LEAST_SCORE)
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.class.code.cmp(&b.class.code)));
    ranked
}

fn round(score: f64) -> f64 {
    (score * 1_000.0).round() / 1_000.0
}

fn reason(asked: &[String], fit: &[Option<(Place, f64)>]) -> String {
    let mut found: Vec<_> =
        asked.iter().zip(fit).filter_map(|(word, fit)| fit.map(|(place, fit)| (fit, place, word))).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown: Vec<_> = found.iter().take(4).map(|(_, place, word)| format!("{word} ({})", place.name())).collect();
    shown.join(", ")
}

/// The words of a class with where they stand.
struct Shape(HashMap<String, Place>);

impl Shape {
    fn new(data: &Data, class: &Class) -> Self {
        let mut places = HashMap::new();
        let features = class.features.iter().filter_map(|code| data.features.get(code));
        let texts = std::iter::once((Place::Name, class.name.as_str()))
            .chain(class.also.iter().map(|text| (Place::Synonym, text.as_str())))
            .chain(features.map(|feature| (Place::Feature, feature.name.as_str())))
            .chain(std::iter::once((Place::Group, class.group.as_str())));
        for (place, text) in texts {
            for word in words(text) {
                // The first place is the best one.
                places.entry(word).or_insert(place);
            }
        }
        Self(places)
    }

    /// Where `word` stands in the class, and how well it fits there: whole, or as part of a longer word (four letters
    /// at least, so that `Kabel` finds `Erdkabel`).
    fn fit(&self, word: &str) -> Option<(Place, f64)> {
        if let Some(place) = self.0.get(word) {
            return Some((*place, place.weight()));
        }
        self.0
            .iter()
            .filter(|(known, _)| {
                let (short, long) =
                    if known.len() < word.len() { (known.as_str(), word) } else { (word, known.as_str()) };
                short.len() >= 4 && long.contains(short)
            })
            .map(|(_, place)| (*place, place.weight() * 0.6))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::SHIPPED;
    use super::*;

    fn best(text: &str) -> Option<&'static str> {
        let classes: Vec<_> = SHIPPED.classes.iter().collect();
        rank(&SHIPPED, &classes, text).first().map(|ranked| ranked.class.code.as_str())
    }

    #[test]
    fn product_texts_find_their_class() {
        for (text, code) in [
            ("NYM-J 3x1,5 mm² installation cable, 100 m ring", "EC000101"),
            ("Leitungsschutzschalter B16 1-polig 6kA", "EC000111"),
            ("RCD type A 40A 30mA 4-pole", "EC000112"),
            ("Cat 6A S/FTP patch cable 3 m grey RJ45", "EC000173"),
            ("LED bulb E27 8W warm white dimmable", "EC000161"),
            ("Wärmepumpe Luft/Wasser 12 kW R290", "EC000181"),
            ("wallbox 11 kW with KNX", "EC000194"),
            ("glass fibre cable 24 fibres OS2", "EC000105"),
            ("Steckdose weiss Unterputz", "EC000141"),
        ] {
            assert_eq!(best(text), Some(code), "{text}");
        }
    }

    #[test]
    fn nonsense_fits_nothing_and_scores_stay_in_range() {
        for text in ["", "12345 !!", "qqqq zzzz", "a b c"] {
            assert_eq!(best(text), None, "{text:?}");
        }
        let classes: Vec<_> = SHIPPED.classes.iter().collect();
        for ranked in rank(&SHIPPED, &classes, "power cable contactor relay sensor") {
            assert!((0.0..=1.0).contains(&ranked.score), "{ranked:?}");
            assert!(!ranked.reason.is_empty());
        }
    }
}
