//! What stands behind the Console view: the JSON buffer, the schema form, the answer. Pure state, no drawing.

pub mod alternatives;
pub mod diff;
pub mod exchange;
pub mod fan;
pub mod form;
pub mod json;
pub mod letters;
pub mod methods;
pub mod question;
pub mod request;
pub mod schema;
pub mod search;
pub mod sheet;
pub mod sides;
pub mod tree;
pub mod uri_template;
