//! What stands behind the Console view: the JSON buffer, the schema form, the answer. Pure state, no drawing.

pub mod diff;
pub mod exchange;
pub mod form;
pub mod json;
pub mod methods;
pub mod request;
pub mod schema;
pub mod search;
pub mod tree;
