//! Threads for the shards of a batch.

use std::sync::Mutex;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::TrainError;

/// Threads that live as long as a run, each a rayon pool of its own, so that the kernels of what it
/// computes stay on it: results do not depend on the number of threads, and kernels lose more on
/// several than shards do.
#[derive(Debug)]
pub(crate) struct Pools(Vec<ThreadPool>);

impl Pools {
    /// So many threads, but no more than rayon would use (`RAYON_NUM_THREADS`, else the cores).
    pub(crate) fn new(threads: usize) -> Result<Self, TrainError> {
        let threads = threads.min(rayon::current_num_threads()).max(1);
        (0..threads)
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|error| TrainError::Threads(error.to_string()))
    }

    /// Does one job on one thread.
    pub(crate) fn alone<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        self.0[0].install(job)
    }

    /// Does jobs `0..jobs`, each on some thread, and gives their results in order.
    pub(crate) fn map<T: Send>(&self, jobs: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let results: Vec<Mutex<Option<T>>> = (0..jobs).map(|_| Mutex::new(None)).collect();
        let work = |first: usize| {
            for i in (first..jobs).step_by(self.0.len()) {
                *results[i].lock().expect("each result is written once") = Some(job(i));
            }
        };
        spread(&self.0, 0, &work);
        results
            .into_iter()
            .map(|result| {
                let result = result.into_inner().expect("each result is written once");
                result.expect("every job was done")
            })
            .collect()
    }
}

/// Runs `work(first)` on the first pool, `work(first + 1)` on the next, and so on, all at once.
fn spread(pools: &[ThreadPool], first: usize, work: &(dyn Fn(usize) + Sync)) {
    let Some((pool, rest)) = pools.split_first() else {
        return;
    };
    pool.in_place_scope(|scope| {
        scope.spawn(move |_| work(first));
        spread(rest, first + 1, work);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_kernels_have_one_thread() {
        for threads in [1, 2, 5] {
            let pools = Pools::new(threads).unwrap();
            let squares = pools.map(7, |i| (i * i, rayon::current_num_threads()));
            let expected: Vec<(usize, usize)> = (0..7).map(|i| (i * i, 1)).collect();
            assert_eq!(squares, expected);
        }
        let threads = Pools::new(3).unwrap().alone(rayon::current_num_threads);
        assert_eq!(threads, 1);
        let none: Vec<()> = Pools::new(2).unwrap().map(0, |_| ());
        assert!(none.is_empty());
    }
}
