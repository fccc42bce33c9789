//! Threads that each run whole batches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many threads share the work. Each computes with one thread of its own: examples do not see each
/// other, and kernels lose more on several threads than examples do.
#[derive(Debug, Clone, Copy)]
pub struct Workers(usize);

impl Workers {
    /// So many threads; 0 for as many as rayon would use (`RAYON_NUM_THREADS`, else the cores).
    pub fn new(threads: usize) -> Self {
        Self(if threads == 0 {
            rayon::current_num_threads()
        } else {
            threads
        })
    }

    /// How many threads.
    pub fn count(self) -> usize {
        self.0
    }

    /// Gives every job of `0..jobs` to some thread, and the results in the order of the jobs. After
    /// the first error no further job is begun.
    ///
    /// # Errors
    /// The error of the first job, in their order, that failed.
    pub fn map<T: Send, E: Send>(
        self,
        jobs: usize,
        job: impl Fn(usize) -> Result<T, E> + Sync,
    ) -> Result<Vec<T>, E> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<Result<T, E>>>> =
            Mutex::new((0..jobs).map(|_| None).collect());
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= jobs {
                    break;
                }
                let result = job(i);
                if result.is_err() {
                    next.store(jobs, Ordering::Relaxed);
                }
                results.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(result);
            }
        };
        let threads = self.0.min(jobs).max(1);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| on_one_thread(&work));
            }
        });
        // Jobs after a failed one may not have run: the failure is met first.
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.into_iter().flatten().collect()
    }
}

/// Runs `work` where rayon has one thread.
fn on_one_thread(work: &(dyn Fn() + Sync)) {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        // Without a pool of its own the worker is slower, not wrong.
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_failure_is_told() {
        let squares = Workers::new(3).map(7, |i| Ok::<_, String>(i * i)).unwrap();
        assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36]);
        let none = Workers::new(2).map(0, |_| Ok::<_, String>(()));
        assert!(none.unwrap().is_empty());
        let failed = Workers::new(1).map(5, |i| {
            if i == 2 {
                Err(format!("job {i}"))
            } else {
                Ok(i)
            }
        });
        assert_eq!(failed.unwrap_err(), "job 2");
    }
}
