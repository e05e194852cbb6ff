//! Tools for skills: procedures that start as `dev` and are approved. Imports `builtin::guard` only.

use super::entries::{self, Draft, Entry, Kind, Listing};
use super::{Hits, MOST, Memory, NAME_CHARS, Search, TEXT_CHARS, some};
use crate::builtin::guard::{self, ToolError};
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::RequestMetaObject;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DESCRIPTION_CHARS: usize = 500;

/// How far a skill is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Status {
    #[default]
    Dev,
    Approved,
    Stable,
}

/// What a skill can be promoted to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Promotion {
    #[default]
    Approved,
    Stable,
}

/// A new skill.
#[derive(Deserialize, JsonSchema)]
struct SkillDraft {
    /// Letters, digits, `-` and `_`; unique.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[\p{L}\p{N}_-]+$"))]
    name: String,
    /// When to use it, in a sentence.
    #[schemars(length(min = 1, max = 500))]
    description: String,
    /// The procedure, as Markdown.
    #[schemars(length(min = 1, max = 65536))]
    body: String,
}

/// A changed skill; what is left out stays.
#[derive(Deserialize, JsonSchema)]
struct SkillChange {
    /// Which skill.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// When to use it, in a sentence.
    #[schemars(length(min = 1, max = 500))]
    description: Option<String>,
    /// The procedure, as Markdown.
    #[schemars(length(min = 1, max = 65536))]
    body: Option<String>,
}

/// A decision on a skill.
#[derive(Deserialize, JsonSchema)]
struct SkillApproval {
    /// Which skill.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// What it becomes; only an approved skill becomes stable.
    #[serde(default)]
    status: Promotion,
}

/// Which skill.
#[derive(Deserialize, JsonSchema)]
struct SkillName {
    /// Its name.
    #[schemars(length(min = 1, max = 64))]
    name: String,
}

/// Which skills.
#[derive(Deserialize, JsonSchema)]
struct SkillListing {
    /// Only skills of this status.
    status: Option<Status>,
    /// Answers at most.
    #[serde(default = "some")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// A skill with its body.
#[derive(Serialize, JsonSchema)]
struct Skill {
    name: String,
    description: String,
    status: String,
    body: String,
    changed: String,
}

/// Skills without their bodies, newest first.
#[derive(Serialize, JsonSchema)]
struct Skills {
    skills: Vec<SkillLine>,
}

/// A skill without its body.
#[derive(Serialize, JsonSchema)]
struct SkillLine {
    name: String,
    description: String,
    status: String,
    changed: String,
}

#[tool_router(router = skill_tools, vis = "pub(super)")]
impl Memory {
    /// Adds a skill with status `dev`.
    #[tool(annotations(
        title = "Add a skill",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = false,
        open_world_hint = false
    ))]
    fn skills_add(
        &self,
        Parameters(args): Parameters<SkillDraft>,
        meta: RequestMetaObject,
    ) -> Result<Json<Skill>, ToolError> {
        let name = guard::file_name("skill", &args.name)?;
        let summary = guard::text("description", &args.description, DESCRIPTION_CHARS)?;
        let text = guard::text("body", &args.body, TEXT_CHARS)?;
        self.with(&meta, |db| {
            if entries::skill(db, name)?.is_some() {
                let taken = format!("skill {name} exists; skills_update changes it");
                return Err(ToolError::Argument(taken).into());
            }
            let label = Status::Dev.name();
            entries::add(db, &Draft { kind: Kind::Skill, name, summary, text, label })?;
            entries::skill(db, name)
        })
        .and_then(|added| shown(name, added))
    }

    /// Changes a skill's description or body. A changed skill is `dev` again until it is approved.
    #[tool(annotations(
        title = "Change a skill",
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn skills_update(
        &self,
        Parameters(args): Parameters<SkillChange>,
        meta: RequestMetaObject,
    ) -> Result<Json<Skill>, ToolError> {
        let description = args.description.as_deref().map(|text| guard::text("description", text, DESCRIPTION_CHARS));
        let body = args.body.as_deref().map(|text| guard::text("body", text, TEXT_CHARS));
        let (description, body) = (description.transpose()?, body.transpose()?);
        self.change(&meta, &args.name, |skill| {
            let before = skill.clone();
            skill.summary = description.unwrap_or(&skill.summary).to_owned();
            skill.text = body.unwrap_or(&skill.text).to_owned();
            if *skill != before {
                skill.label = Status::Dev.name().to_owned();
            }
            Ok(())
        })
    }

    /// Promotes a skill: `dev` to `approved`, `approved` to `stable`.
    #[tool(annotations(
        title = "Approve a skill",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn skills_approve(
        &self,
        Parameters(args): Parameters<SkillApproval>,
        meta: RequestMetaObject,
    ) -> Result<Json<Skill>, ToolError> {
        self.change(&meta, &args.name, |skill| {
            let status = match args.status {
                Promotion::Approved => Status::Approved,
                Promotion::Stable if skill.label == Status::Dev.name() => {
                    return Err(ToolError::Argument(format!("skill {} is dev; approve it first", skill.name)));
                }
                Promotion::Stable => Status::Stable,
            };
            skill.label = status.name().to_owned();
            Ok(())
        })
    }

    /// Lists skills, newest first.
    #[tool(annotations(title = "List skills", read_only_hint = true, open_world_hint = false))]
    fn skills_list(
        &self,
        Parameters(args): Parameters<SkillListing>,
        meta: RequestMetaObject,
    ) -> Result<Json<Skills>, ToolError> {
        let limit = guard::number("limit", args.limit, 1..=MOST)?;
        let label = args.status.map(Status::name);
        let skills =
            self.with(&meta, |db| entries::list(db, Listing { kind: Kind::Skill, name: None, label, skip: 0, limit }))?;
        Ok(Json(Skills { skills: skills.into_iter().map(SkillLine::from).collect() }))
    }

    /// Searches skills by name, description and body, best first.
    #[tool(annotations(title = "Search skills", read_only_hint = true, open_world_hint = false))]
    fn skills_search(
        &self,
        Parameters(args): Parameters<Search>,
        meta: RequestMetaObject,
    ) -> Result<Json<Hits>, ToolError> {
        self.find(&meta, Some(Kind::Skill), &args.query, args.limit)
    }

    /// Answers one skill with its body.
    #[tool(annotations(title = "Get a skill", read_only_hint = true, open_world_hint = false))]
    fn skills_get(
        &self,
        Parameters(args): Parameters<SkillName>,
        meta: RequestMetaObject,
    ) -> Result<Json<Skill>, ToolError> {
        let name = guard::text("name", &args.name, NAME_CHARS)?;
        self.with(&meta, |db| entries::skill(db, name)).and_then(|found| shown(name, found))
    }
}

impl Memory {
    fn change(
        &self,
        meta: &RequestMetaObject,
        name: &str,
        change: impl FnOnce(&mut Entry) -> Result<(), ToolError>,
    ) -> Result<Json<Skill>, ToolError> {
        self.with(meta, |db| {
            let work = db.transaction()?;
            let mut skill = entries::skill(&work, name)?.ok_or_else(|| absent(name))?;
            let before = skill.clone();
            change(&mut skill)?;
            if skill != before {
                entries::update(&work, &skill)?;
            }
            let after = entries::skill(&work, name)?;
            work.commit()?;
            Ok(after)
        })
        .and_then(|after| shown(name, after))
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Approved => "approved",
            Self::Stable => "stable",
        }
    }
}

fn shown(name: &str, skill: Option<Entry>) -> Result<Json<Skill>, ToolError> {
    let skill = skill.ok_or_else(|| absent(name))?;
    Ok(Json(Skill {
        changed: super::rfc3339(skill.changed),
        name: skill.name,
        description: skill.summary,
        status: skill.label,
        body: skill.text,
    }))
}

fn absent(name: &str) -> ToolError {
    ToolError::NotFound(format!("no skill is called {name:?}; skills_list shows all"))
}

impl From<Entry> for SkillLine {
    fn from(skill: Entry) -> Self {
        Self {
            changed: super::rfc3339(skill.changed),
            name: skill.name,
            description: skill.summary,
            status: skill.label,
        }
    }
}
