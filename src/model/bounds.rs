//! The bounds of a batch's indices. Shaders are compiled without bounds checks, so the host checks every index once.

use super::config::{ModelConfig, Positions};
use super::inputs::Shape;
use crate::data::{Batch, Orders};
use crate::{Error, Result};

/// Sizes of the tables that a batch's indices point into.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    vocabulary: u32,
    /// Without the offset that a model adds. Without a table of positions, any number is allowed.
    positions: u32,
    types: u32,
}

impl Bounds {
    pub fn of(config: &ModelConfig) -> Bounds {
        let positions = match config.positions {
            Positions::Learned => config.max_positions as u32,
            Positions::Rope => u32::MAX,
        };
        Bounds { vocabulary: config.vocab_size as u32, positions, types: config.type_vocab_size.max(1) as u32 }
    }

    /// # Errors
    /// Names the first index that is out of bounds, and its place.
    pub fn check(&self, batch: &Batch, shape: Shape) -> Result<()> {
        let (rows, selected, length) = (shape.rows() as u32, shape.selected as u32, shape.sequence as u32);
        let below = |name, values: &[u32], bound| refuse(name, values, bound, |value| value < bound);
        let below_or_none = |name, values: &[u32], bound| refuse(name, values, bound, |v| v < bound || v == u32::MAX);
        below("ids", &batch.ids, self.vocabulary)?;
        below("positions", &batch.positions, self.positions)?;
        below("types", &batch.types, self.types)?;
        below("selected", &batch.selected, rows)?;
        below_or_none("labels", &batch.labels, self.vocabulary)?;
        below_or_none("inverse", &batch.inverse, selected)?;
        below("firsts", &batch.classes.firsts, selected)?;
        below_or_none("classes", &batch.classes.inverse, shape.batch as u32)?;
        if let Some(Orders { ids, positions, types }) = &batch.orders {
            [("ids", ids), ("positions", positions), ("types", types)]
                .iter()
                .try_for_each(|(name, order)| below(name, order, rows))?;
        }
        // Every row lies in its own span, which ends with the sequence at the latest.
        let lies =
            |(row, [start, end]): (usize, &[u32; 2])| (*start..*end).contains(&(row as u32 % length)) && *end <= length;
        match batch.spans.iter().enumerate().position(|(row, span)| !lies((row, span))) {
            None => Ok(()),
            Some(row) => Err(damaged("spans", &format!("{:?}", batch.spans[row]), row, "do not hold their own row")),
        }
    }
}

fn refuse(name: &str, values: &[u32], bound: u32, fine: impl Fn(u32) -> bool) -> Result<()> {
    match values.iter().position(|&value| !fine(value)) {
        None => Ok(()),
        Some(place) => Err(damaged(name, &values[place].to_string(), place, &format!("must be below {bound}"))),
    }
}

fn damaged(name: &str, value: &str, place: usize, problem: &str) -> Error {
    Error::device(format!(
        "a batch has {value} among its `{name}`, at place {place}, and they {problem}: the data are of another model or \
         vocabulary; prepare them anew"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Example;
    use crate::model::recipe::Recipe;

    /// Each kind of index is set to one past its end.
    #[test]
    fn every_index_is_looked_at() {
        let config = ModelConfig::new(Recipe::Bert, 50, 1, 8, 2).unwrap();
        let bounds = Bounds::of(&config);
        let shape = Shape { batch: 2, sequence: 4, selected: 2 };
        let batch = Batch::for_training(&vec![Example::new(vec![2, 49, 7, 3], vec![1], vec![49]); 2], 1);
        bounds.check(&batch, shape).unwrap();
        type Spoil = fn(&mut Batch);
        let spoil: [(&str, Spoil); 11] = [
            ("ids", |batch| batch.ids[3] = 50),
            ("positions", |batch| batch.positions[0] = 1 << 20),
            ("types", |batch| batch.types[5] = 2),
            ("selected", |batch| batch.selected[1] = 8),
            ("labels", |batch| batch.labels[0] = 50),
            ("inverse", |batch| batch.inverse[0] = 2),
            ("firsts", |batch| batch.classes.firsts[1] = 2),
            ("classes", |batch| batch.classes.inverse[0] = 2),
            ("ids", |batch| batch.orders.as_mut().unwrap().ids[7] = 8),
            ("spans", |batch| batch.spans[4] = [0, 5]),
            ("spans", |batch| batch.spans[6] = [0, 2]),
        ];
        for (name, spoil) in spoil {
            let mut batch = batch.clone();
            spoil(&mut batch);
            let message = bounds.check(&batch, shape).unwrap_err().to_string();
            assert!(message.contains(&format!("`{name}`")), "{message}");
        }
    }
}
