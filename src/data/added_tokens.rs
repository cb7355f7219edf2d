//! The added tokens of a `tokenizer.json`, which are found in a text before it is split.

use serde_json::{Map, Value, json};

/// The properties that say how an added token is found in a text.
const PROPERTIES: [&str; 5] = ["single_word", "lstrip", "rstrip", "normalized", "special"];

/// The added tokens of a tokenizer, and those that other files name.
pub(super) struct AddedTokens {
    tokens: Vec<Value>,
    /// The tokens of the vocabulary with their ids.
    vocabulary: Map<String, Value>,
    changed: bool,
}

impl AddedTokens {
    /// The added tokens of a `tokenizer.json`.
    pub fn of(tokenizer: &Value) -> Self {
        let vocabulary = match &tokenizer["model"]["vocab"] {
            Value::Object(vocabulary) => vocabulary.clone(),
            // A Unigram model has pairs of a token and its score, ordered by id.
            Value::Array(pairs) => {
                let token = |pair: &Value| pair[0].as_str().unwrap_or_default().to_string();
                pairs.iter().map(token).zip((0u64..).map(Value::from)).collect()
            }
            _ => Map::new(),
        };
        let tokens = tokenizer["added_tokens"].as_array().cloned().unwrap_or_default();
        AddedTokens { tokens, vocabulary, changed: false }
    }

    /// Adds tokens that a file lists with their ids. The properties that it gives them apply to tokens that were not added
    /// before and, with `replace`, to all.
    ///
    /// # Errors
    /// An entry is not a token, or has another id in the tokenizer.
    pub fn list(&mut self, mut listed: Vec<(Option<u64>, Value)>, replace: bool) -> Result<(), String> {
        // New ones get their ids in order.
        listed.sort_by_key(|(id, _)| *id);
        for (id, token) in listed {
            let content = content(&token).ok_or_else(|| format!("{token} is not a token"))?;
            let found = self.take(content, &token, replace);
            if let Some(id) = id.filter(|id| *id != found) {
                return Err(format!("`{content}` has the id {id} there, and {found} in the tokenizer"));
            }
        }
        Ok(())
    }

    /// Adds the special tokens that a file names, if the tokenizer has them; `replace` as in `list`.
    pub fn name(&mut self, options: &Map<String, Value>, replace: bool) {
        for token in named(options) {
            let Some(content) = content(token) else { continue };
            if self.find(content).is_some() || self.vocabulary.contains_key(content) {
                self.take(content, token, replace);
            }
        }
    }

    /// Writes the tokens back, and returns whether that changes anything.
    pub fn put_into(self, tokenizer: &mut Value) -> bool {
        if self.changed {
            tokenizer["added_tokens"] = self.tokens.into();
        }
        self.changed
    }

    fn find(&self, content: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token["content"] == content)
    }

    /// Adds a token if it is missing, and returns its id: that of the vocabulary, else the next free one, as in the
    /// tokenizers library.
    fn take(&mut self, content: &str, given: &Value, replace: bool) -> u64 {
        let at = match self.find(content) {
            Some(at) if !replace => at,
            Some(at) => self.set(at, given),
            None => {
                let largest = self.tokens.iter().filter_map(|token| token["id"].as_u64()).max();
                let next = largest.map_or(0, |largest| largest + 1).max(self.vocabulary.len() as u64);
                let id = self.vocabulary.get(content).and_then(Value::as_u64).unwrap_or(next);
                self.tokens.push(json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true,
                }));
                self.changed = true;
                self.set(self.tokens.len() - 1, given)
            }
        };
        self.tokens[at]["id"].as_u64().unwrap_or_default()
    }

    /// Gives a token the properties that a file says it has.
    fn set(&mut self, at: usize, given: &Value) -> usize {
        for property in PROPERTIES {
            if let Some(value) = given.get(property).filter(|value| value.is_boolean()) {
                self.changed |= self.tokens[at][property] != *value;
                self.tokens[at][property] = value.clone();
            }
        }
        at
    }
}

/// The special tokens that a file names: one under each key that ends in `_token`, and lists of more.
fn named(options: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let single = options.iter().filter(|(key, _)| key.ends_with("_token")).map(|(_, token)| token);
    let lists = ["additional_special_tokens", "extra_special_tokens"].into_iter().filter_map(|key| options.get(key));
    single.chain(lists.flat_map(|list| -> Vec<&Value> {
        match list {
            Value::Array(tokens) => tokens.iter().collect(),
            Value::Object(tokens) => tokens.values().collect(),
            _ => Vec::new(),
        }
    }))
}

/// Whether a file names this token as a special one.
pub(super) fn names(options: &Map<String, Value>, token: &str) -> bool {
    named(options).any(|named| content(named) == Some(token))
}

/// A token is a string, or an object that has it as its content.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}
