//! Checks a product's description against its class: a pure function. Imports the catalog's data only.

use super::data::{Class, Data, Feature, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A product as somebody describes it.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Product {
    /// Code of its class.
    #[schemars(length(min = 1, max = 64))]
    pub class: String,
    /// Its name.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Who makes it.
    pub manufacturer: Option<Manufacturer>,
    /// Its features.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub features: Vec<FeatureValue>,
}

/// Who makes a product.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Manufacturer {
    /// Name of the company.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Global trade item number of the product: 8, 12, 13 or 14 digits.
    #[schemars(regex(pattern = r"^[0-9]{8,14}$"))]
    pub gtin: Option<String>,
}

/// A feature of a product.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct FeatureValue {
    /// Code of the feature.
    #[schemars(regex(pattern = "^EF[0-9]{6}$"))]
    pub feature: String,
    /// Its value: a word, a number, or `yes` or `no`.
    #[schemars(length(min = 1, max = 200))]
    pub value: String,
    /// Unit of a number; without it the feature's own.
    #[schemars(length(max = 20))]
    pub unit: Option<String>,
}

/// Something wrong with a description.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Problem {
    /// What is meant: `features[2]`, `manufacturer.gtin`.
    pub at: String,
    pub problem: String,
}

/// Every problem of `product`, in order.
pub fn check(data: &Data, class: &Class, product: &Product) -> Vec<Problem> {
    let mut problems = Vec::new();
    let maker = product.manufacturer.as_ref();
    for (at, name) in [("name", Some(&product.name)), ("manufacturer.name", maker.map(|maker| &maker.name))] {
        if name.is_some_and(|name| name.trim().is_empty()) {
            problems.push(Problem { at: at.to_owned(), problem: "is empty".to_owned() });
        }
    }
    let gtin = maker.and_then(|maker| maker.gtin.as_deref());
    if let Some(problem) = gtin.and_then(check_gtin) {
        problems.push(Problem { at: "manufacturer.gtin".to_owned(), problem });
    }
    for (at, given) in product.features.iter().enumerate() {
        let twice = product.features[..at].iter().any(|earlier| earlier.feature == given.feature);
        let problem = match data.features.get(&given.feature) {
            _ if twice => Some(format!("{} is given twice", given.feature)),
            Some(feature) if class.features.contains(&given.feature) => check_value(feature, given),
            Some(feature) => Some(format!("{} ({}) is no feature of {}", feature.code, feature.name, class.code)),
            None => Some(format!("there is no feature {:?}", given.feature)),
        };
        problems.extend(problem.map(|problem| Problem { at: format!("features[{at}]"), problem }));
    }
    problems
}

/// Codes of the class's features that `product` says nothing about.
pub fn missing<'a>(class: &'a Class, product: &Product) -> Vec<&'a str> {
    let given = |code: &&String| product.features.iter().any(|feature| &&feature.feature == code);
    class.features.iter().filter(|code| !given(code)).map(String::as_str).collect()
}

fn check_value(feature: &Feature, given: &FeatureValue) -> Option<String> {
    let (name, value) = (&feature.name, given.value.trim());
    match &feature.values {
        Values::Words(words) => {
            let known = words.iter().any(|word| word.eq_ignore_ascii_case(value));
            (!known).then(|| format!("{name} is {value:?}; allowed: {}", words.join(", ")))
        }
        Values::Number { unit, least, most } => {
            let own = unit.as_deref().unwrap_or_default();
            if let Some(other) = given.unit.as_deref().filter(|given| *given != own) {
                return Some(format!("{name} is in {other:?}; its unit is {own:?}"));
            }
            match value.replace(',', ".").parse::<f64>() {
                Ok(number) if (*least..=*most).contains(&number) => None,
                Ok(number) => {
                    Some(format!("{name} is {number}; allowed: {least} to {most} {own}").trim_end().to_owned())
                }
                Err(_) => Some(format!("{name} is {value:?}, which is no number")),
            }
        }
        Values::Logical => (!matches!(value, "yes" | "no" | "true" | "false"))
            .then(|| format!("{name} is {value:?}; allowed: yes, no")),
    }
}

/// The check digit of GS1: weights 3 and 1 from the right.
fn check_gtin(gtin: &str) -> Option<String> {
    let digits: Option<Vec<u32>> = gtin.chars().map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| matches!(digits.len(), 8 | 12 | 13 | 14)) else {
        return Some(format!("{gtin:?} is not 8, 12, 13 or 14 digits"));
    };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, digit)| if at % 2 == 1 { digit * 3 } else { *digit }).sum();
    (!sum.is_multiple_of(10)).then(|| format!("{gtin:?} has a wrong check digit"))
}

#[cfg(test)]
mod tests {
    use super::super::data::SHIPPED;
    use super::*;

    #[test]
    fn each_mistake_is_named_where_it_stands() {
        let class = SHIPPED.classes.iter().find(|class| class.code == "EC000111").unwrap();
        let value = |feature: &str, value: &str, unit: Option<&str>| FeatureValue {
            feature: feature.to_owned(),
            value: value.to_owned(),
            unit: unit.map(str::to_owned),
        };
        let product = Product {
            class: "EC000111".to_owned(),
            name: "MCB B16".to_owned(),
            manufacturer: Some(Manufacturer { name: "Eaton".to_owned(), gtin: Some("4006381333932".to_owned()) }),
            features: vec![
                value("EF000101", "16", Some("A")),
                value("EF000105", "b", None),
                value("EF000104", "9", None),
                value("EF000102", "400", Some("kV")),
                value("EF000104", "1", None),
                value("EF000134", "800", None),
                value("EF999999", "1", None),
                value("EF000108", "six", None),
            ],
        };
        let found: Vec<_> =
            check(&SHIPPED, class, &product).into_iter().map(|p| format!("{}: {}", p.at, p.problem)).collect();
        assert_eq!(
            found,
            [
                "manufacturer.gtin: \"4006381333932\" has a wrong check digit",
                "features[2]: Number of poles is 9; allowed: 1 to 4",
                "features[3]: Rated voltage is in \"kV\"; its unit is \"V\"",
                "features[4]: EF000104 is given twice",
                "features[5]: EF000134 (Luminous flux) is no feature of EC000111",
                "features[6]: there is no feature \"EF999999\"",
                "features[7]: Breaking capacity is \"six\", which is no number",
            ]
        );
        assert_eq!(missing(class, &product), ["EF000114"]);
        assert_eq!(check_gtin("4006381333931"), None);
    }
}
