//! `catalog`: a small product classification. Its answers depend on the customer: private classes and what it taught.
//! Imports `builtin::guard` only.

mod check;
mod customer;
mod data;
mod export;
mod rank;

use super::guard::{self, ToolError};
use check::{Problem, Product};
use customer::{Customer, Customers};
use data::{Class, SHIPPED, Values};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const INSTRUCTIONS: &str = "Finds the class of a product and the features that describe it. Start with \
classify_product, then ask for the features of the class, then check the description with validate_product.";

/// Characters of a query; of a product text.
const QUERY_CHARS: usize = 500;
const PRODUCT_CHARS: usize = 10_000;

/// Answers at most, where a tool does not say otherwise.
const MOST: u32 = 100;

/// The server.
pub struct Catalog {
    customers: Customers,
    tools: ToolRouter<Self>,
}

/// Whose catalog.
#[derive(Deserialize, JsonSchema)]
struct Whose {
    /// Customer whose private classes and learned mappings count. The platform's router fills it in.
    #[schemars(required, with = "String", length(min = 1, max = 64))]
    customer_id: Option<String>,
}

/// Which classes.
#[derive(Deserialize, JsonSchema)]
struct ClassListing {
    #[serde(flatten)]
    whose: Whose,
    /// Only classes of this group: `Lighting`, `Cables and wires`.
    #[schemars(length(min = 1, max = 200))]
    group: Option<String>,
    /// Classes to leave out at the start.
    #[serde(default)]
    #[schemars(range(max = 100_000))]
    skip: u32,
    /// Answers at most.
    #[serde(default = "most")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// Which class.
#[derive(Deserialize, JsonSchema)]
struct ClassCode {
    #[serde(flatten)]
    whose: Whose,
    /// Code of the class: `EC000111`.
    #[schemars(length(min = 1, max = 64))]
    class: String,
}

/// What to look for.
#[derive(Deserialize, JsonSchema)]
struct Search {
    #[serde(flatten)]
    whose: Whose,
    /// Words of a class, a synonym, a feature or a group, in English or German.
    #[schemars(length(min = 1, max = 500))]
    query: String,
    /// Answers at most.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// What to classify.
#[derive(Deserialize, JsonSchema)]
struct ProductText {
    #[serde(flatten)]
    whose: Whose,
    /// What a supplier writes about the product.
    #[schemars(length(min = 1, max = 10000))]
    text: String,
    /// Answers at most.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 20))]
    limit: u32,
}

/// What to compare.
#[derive(Deserialize, JsonSchema)]
struct Comparison {
    #[serde(flatten)]
    whose: Whose,
    /// Codes of two to five classes.
    #[schemars(length(min = 2, max = 5))]
    classes: Vec<String>,
}

/// What to check.
#[derive(Deserialize, JsonSchema)]
struct Validation {
    #[serde(flatten)]
    whose: Whose,
    /// The product as it is described.
    product: Product,
    /// Whether a feature that is not given is a problem too.
    #[serde(default)]
    complete: bool,
}

/// What to remember.
#[derive(Deserialize, JsonSchema)]
struct Lesson {
    #[serde(flatten)]
    whose: Whose,
    /// Words that mean the class; a product text that has all of them is of this class.
    #[schemars(length(min = 1, max = 500))]
    text: String,
    /// Code of the class.
    #[schemars(length(min = 1, max = 64))]
    class: String,
}

/// Classes in the order of the catalog, the customer's own first.
#[derive(Serialize, JsonSchema)]
struct Classes {
    classes: Vec<ClassLine>,
    /// Classes that fit, shown here or not.
    total: usize,
}

/// A class without its features.
#[derive(Serialize, JsonSchema)]
struct ClassLine {
    code: String,
    name: String,
    group: String,
    synonyms: Vec<String>,
    /// True if only this customer has it.
    private: bool,
}

/// A class with its features.
#[derive(Serialize, JsonSchema)]
struct Features {
    class: ClassLine,
    features: Vec<FeatureLine>,
}

/// A feature and what its value can be.
#[derive(Serialize, JsonSchema)]
struct FeatureLine {
    code: String,
    name: String,
    values: Values,
}

/// Classes, the best fit first.
#[derive(Serialize, JsonSchema)]
struct Candidates {
    candidates: Vec<Candidate>,
}

/// A class with how well it fits.
#[derive(Serialize, JsonSchema)]
struct Candidate {
    code: String,
    name: String,
    group: String,
    /// 0 to 1.
    score: f64,
    /// The words that decided, and where they stand.
    reason: String,
}

/// What classes have in common.
#[derive(Serialize, JsonSchema)]
struct Compared {
    common: Vec<FeatureLine>,
    only: Vec<OnlyIn>,
}

/// What one class has alone.
#[derive(Serialize, JsonSchema)]
struct OnlyIn {
    class: String,
    features: Vec<FeatureLine>,
}

/// What is wrong with a description.
#[derive(Serialize, JsonSchema)]
struct Verdict {
    valid: bool,
    problems: Vec<Problem>,
    /// Features of the class that the description says nothing about.
    missing: Vec<String>,
}

/// What was learned.
#[derive(Serialize, JsonSchema)]
struct Learned {
    class: String,
    /// Mappings of this customer now.
    mappings: usize,
}

impl Catalog {
    /// A server with its customers' files in `data`, which need not exist yet.
    pub fn new(data: PathBuf) -> Self {
        Self { customers: Customers::new(&data), tools: Self::answer_tools() + Self::export_tools() }
    }

    fn customer(&self, whose: &Whose) -> Result<Customer, ToolError> {
        self.customers.open(whose.customer_id.as_deref())
    }
}

#[tool_router(router = answer_tools)]
impl Catalog {
    /// Lists product classes, the customer's own first.
    #[tool(annotations(title = "List classes", read_only_hint = true, open_world_hint = false))]
    fn classes(&self, Parameters(args): Parameters<ClassListing>) -> Result<Json<Classes>, ToolError> {
        let customer = self.customer(&args.whose)?;
        let limit = guard::number("limit", args.limit, 1..=MOST)?;
        let in_group = |class: &&Class| args.group.as_ref().is_none_or(|group| class.group.eq_ignore_ascii_case(group));
        let fitting: Vec<_> = customer.classes().filter(in_group).collect();
        if let (Some(group), true) = (&args.group, fitting.is_empty()) {
            return Err(ToolError::NotFound(format!("there is no group {group:?}; there are: {}", groups(&customer))));
        }
        let shown = fitting.iter().skip(args.skip as usize).take(limit as usize);
        Ok(Json(Classes { classes: shown.map(|class| line(&customer, class)).collect(), total: fitting.len() }))
    }

    /// Answers the features of a class, with units and allowed values.
    #[tool(annotations(title = "Features of a class", read_only_hint = true, open_world_hint = false))]
    fn features(&self, Parameters(args): Parameters<ClassCode>) -> Result<Json<Features>, ToolError> {
        let customer = self.customer(&args.whose)?;
        let class = customer.class(&args.class)?;
        let features = class.features.iter().filter_map(|code| feature(code)).collect();
        Ok(Json(Features { class: line(&customer, class), features }))
    }

    /// Searches classes by name, synonym, feature and group, best first.
    #[tool(annotations(title = "Search classes", read_only_hint = true, open_world_hint = false))]
    fn search(&self, Parameters(args): Parameters<Search>) -> Result<Json<Candidates>, ToolError> {
        let query = guard::text("query", &args.query, QUERY_CHARS)?;
        let limit = guard::number("limit", args.limit, 1..=MOST)?;
        Ok(Json(candidates(&self.customer(&args.whose)?, query, limit)))
    }

    /// Finds the classes that fit a product text, best first, with a score and the reason.
    #[tool(annotations(title = "Classify a product", read_only_hint = true, open_world_hint = false))]
    fn classify_product(&self, Parameters(args): Parameters<ProductText>) -> Result<Json<Candidates>, ToolError> {
        let text = guard::text("text", &args.text, PRODUCT_CHARS)?;
        let limit = guard::number("limit", args.limit, 1..=20)?;
        Ok(Json(candidates(&self.customer(&args.whose)?, text, limit)))
    }

    /// Compares classes: the features all of them have, and those that one has alone.
    #[tool(annotations(title = "Compare classes", read_only_hint = true, open_world_hint = false))]
    fn compare(&self, Parameters(args): Parameters<Comparison>) -> Result<Json<Compared>, ToolError> {
        guard::number("classes", args.classes.len(), 2..=5)?;
        let customer = self.customer(&args.whose)?;
        let classes = args.classes.iter().map(|code| customer.class(code)).collect::<Result<Vec<_>, _>>()?;
        let holders = |code: &String| classes.iter().filter(|class| class.features.contains(code)).count();
        let with = |class: &Class, count: usize| {
            class.features.iter().filter(|code| holders(code) == count).filter_map(|code| feature(code)).collect()
        };
        let common = with(classes[0], classes.len());
        let only = classes.iter().map(|class| OnlyIn { class: class.code.clone(), features: with(class, 1) }).collect();
        Ok(Json(Compared { common, only }))
    }

    /// Checks a product's description against its class: features, values, units, the check digit of the GTIN.
    #[tool(annotations(title = "Check a product", read_only_hint = true, open_world_hint = false))]
    fn validate_product(&self, Parameters(args): Parameters<Validation>) -> Result<Json<Verdict>, ToolError> {
        guard::number("product.features", args.product.features.len(), 0..=100)?;
        let customer = self.customer(&args.whose)?;
        let class = customer.class(&args.product.class)?;
        let problems = check::check(&SHIPPED, class, &args.product);
        let missing: Vec<_> = check::missing(class, &args.product).into_iter().map(str::to_owned).collect();
        let valid = problems.is_empty() && (missing.is_empty() || !args.complete);
        Ok(Json(Verdict { valid, problems, missing }))
    }

    /// Teaches the catalog that some words mean a class, for this customer only. The same words again replace it.
    #[tool(annotations(
        title = "Teach a mapping",
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn learn_mapping(&self, Parameters(args): Parameters<Lesson>) -> Result<Json<Learned>, ToolError> {
        let text = guard::text("text", &args.text, QUERY_CHARS)?;
        let customer = self.customer(&args.whose)?;
        let class = customer.class(&args.class)?.code.clone();
        Ok(Json(Learned { mappings: customer.learn(text, &class)?, class }))
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Catalog {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("mcpdeck-catalog", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }
}

fn line(customer: &Customer, class: &Class) -> ClassLine {
    ClassLine {
        code: class.code.clone(),
        name: class.name.clone(),
        group: class.group.clone(),
        synonyms: class.also.clone(),
        private: customer.owns(class),
    }
}

fn feature(code: &str) -> Option<FeatureLine> {
    SHIPPED.features.get(code).map(|feature| FeatureLine {
        code: feature.code.clone(),
        name: feature.name.clone(),
        values: feature.values.clone(),
    })
}

fn candidates(customer: &Customer, text: &str, limit: u32) -> Candidates {
    let candidate = |ranked: rank::Ranked<'_>| Candidate {
        code: ranked.class.code.clone(),
        name: ranked.class.name.clone(),
        group: ranked.class.group.clone(),
        score: ranked.score,
        reason: ranked.reason,
    };
    Candidates { candidates: customer.rank(text).into_iter().take(limit as usize).map(candidate).collect() }
}

fn groups(customer: &Customer) -> String {
    let mut groups: Vec<_> = customer.classes().map(|class| class.group.as_str()).collect();
    groups.dedup();
    groups.join(", ")
}

fn most() -> u32 {
    MOST
}

fn ten() -> u32 {
    10
}

fn five() -> u32 {
    5
}
