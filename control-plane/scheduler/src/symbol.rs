//! Strings as small numbers: labels are compared on every node for every pod.

use std::collections::HashMap;
use std::sync::Arc;

/// An interned string. Only symbols of one [`Symbols`] compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Symbol(u32);

/// The strings behind the symbols. They are label keys and values of nodes and names of resources, of which a cluster
/// has few, so none is ever forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    by_text: HashMap<Arc<str>, Symbol>,
    texts: Vec<Arc<str>>,
}

impl Symbols {
    /// The symbol of `text`, made when it is met for the first time.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        if let Some(symbol) = self.by_text.get(text) {
            return *symbol;
        }
        // More than four billion distinct labels do not fit in memory; were there that many, they would share one.
        let symbol = Symbol(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let text = Arc::<str>::from(text);
        self.texts.push(Arc::clone(&text));
        self.by_text.insert(text, symbol);
        symbol
    }

    /// The string of `symbol`.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        self.texts.get(symbol.0 as usize).map_or("", |text| text)
    }
}
