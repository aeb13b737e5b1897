//! Which branches of patterns a line has words for: a bit for each branch, in a row for each of its sets of words.

use super::literal::SETS;

/// The rows. A branch is left where its bit is set in each.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    rows: [Vec<u64>; SETS],
    /// So many branches.
    branches: usize,
}

impl Sieve {
    /// One more branch, with so many sets of words: for the others nothing has to be found.
    pub(super) fn add(&mut self, sets: usize) {
        let branch = self.branches;
        self.branches += 1;
        for row in &mut self.rows {
            row.resize(self.branches.div_ceil(64), 0);
        }
        (sets..SETS).for_each(|set| self.put(branch, set));
    }

    /// A word of the set was found.
    pub(super) fn put(&mut self, branch: usize, set: usize) {
        self.rows[set][branch / 64] |= 1 << (branch % 64);
    }

    /// The branches of which all was found, in their order.
    pub(super) fn left(&self) -> impl Iterator<Item = usize> {
        let words = self.rows[0].len();
        (0..words).flat_map(|at| {
            let mut bits = self.rows.iter().fold(u64::MAX, |bits, row| bits & row[at]);
            std::iter::from_fn(move || {
                let bit = usize::try_from(bits.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                bits &= bits - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

impl Clone for Sieve {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), branches: self.branches }
    }

    /// In the memory that is there.
    fn clone_from(&mut self, other: &Self) {
        for (row, of) in self.rows.iter_mut().zip(&other.rows) {
            row.clone_from(of);
        }
        self.branches = other.branches;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_word_of_each_set_is_left() {
        let mut blank = Sieve::default();
        (0..130).for_each(|branch| blank.add(branch % (SETS + 1)));
        let known: Vec<usize> = (0..130).filter(|branch| branch % (SETS + 1) == 0).collect();
        assert_eq!(blank.left().collect::<Vec<_>>(), known);
        let mut sieve = Sieve::default();
        sieve.clone_from(&blank);
        sieve.put(1, 0);
        sieve.put(2, 0);
        sieve.put(127, 0);
        (0..SETS).for_each(|set| sieve.put(3, set));
        let left: Vec<usize> = sieve.left().filter(|branch| !known.contains(branch)).collect();
        assert_eq!(left, [1, 3].into_iter().chain((127 % (SETS + 1) == 1).then_some(127)).collect::<Vec<_>>());
    }
}
