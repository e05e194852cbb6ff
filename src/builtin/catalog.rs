//! placeholder
pub struct Catalog;
impl Catalog {
    pub fn new(_: std::path::PathBuf) -> Self {
        Self
    }
}
impl rmcp::ServerHandler for Catalog {}
