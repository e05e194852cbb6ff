//! A JSON buffer and the form over it: what is edited, be it a request or the answer to a server's question.

use super::form::Form;
use super::json;

/// The buffer is the truth; the form follows each change of it.
pub struct Sheet {
    buffer: String,
    pub form: Form,
}

impl Default for Sheet {
    fn default() -> Self {
        Self { buffer: "{}".to_owned(), form: Form::new("") }
    }
}

impl Sheet {
    /// For a schema, with the buffer that it begins with.
    pub fn new(schema: &str) -> Self {
        let form = Form::new(schema);
        let buffer = form.initial();
        let mut sheet = Self { buffer: String::new(), form };
        sheet.set(buffer);
        sheet
    }

    /// For a schema, with something in it.
    pub fn with(schema: &str, buffer: String) -> Self {
        let mut sheet = Self { buffer: String::new(), form: Form::new(schema) };
        sheet.set(buffer);
        sheet
    }

    pub fn buffer(&self) -> &str {
        &self.buffer
    }

    /// The buffer, or `{}` where nothing is written.
    pub fn value(&self) -> &str {
        if self.buffer.trim().is_empty() { "{}" } else { &self.buffer }
    }

    /// Puts a text in; the form follows.
    pub fn set(&mut self, text: String) {
        self.buffer = text;
        self.form.read(&self.buffer);
    }

    /// True if nothing was filled in yet.
    pub fn is_blank(&self) -> bool {
        json::print::compact(self.value()) == "{}"
    }
}
