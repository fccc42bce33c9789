//! Fetching, step by step.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::registry::{Fetchable, Product};
use super::{archive, checksum, client, make, registry};
use crate::data::cache::DataCache;
use crate::data::error::DataError;

/// The folder of the cache where fetches are under way.
const PARTIAL: &str = ".partial";

/// What a fetch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A file is there and right, and is not fetched again.
    Found {
        /// The file.
        file: &'a str,
    },
    /// A package client runs; it may take minutes.
    Downloading {
        /// Its command line.
        command: &'a str,
        /// About how much it downloads.
        megabytes: u32,
    },
    /// The package is there, from this fetch or one that was interrupted later on.
    Downloaded,
    /// The package has been taken apart.
    Unpacked,
    /// A file has been made, verified and put into its place.
    Made {
        /// The file.
        file: &'a str,
        /// Its size.
        bytes: u64,
    },
}

/// Brings a data set or model into the cache and gives its folder. What is there and right is
/// left as it is; a fetch that was interrupted goes on where it was. Two fetches of one name at a
/// time wait for each other.
///
/// # Errors
/// An unknown name, a client that is missing or fails (no network), a wrong checksum, of which
/// nothing is kept, a cache that cannot be written.
pub fn fetch(
    name: &str,
    cache: &DataCache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, DataError> {
    fetch_entry(registry::find(name)?, cache, progress)
}

fn fetch_entry(
    entry: &Fetchable,
    cache: &DataCache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, DataError> {
    let partial = cache.root().join(PARTIAL);
    create(&partial)?;
    let lock = partial.join(format!("{}.lock", entry.name));
    let locked = File::create(&lock).map_err(DataError::file(&lock))?;
    // Held until the file is dropped, at the end of this function.
    locked.lock().map_err(DataError::file(&lock))?;

    let folder = cache.folder(entry.name);
    let mut missing = Vec::new();
    for product in entry.products {
        if checksum::is_right(&folder.join(product.file), product.sha256)? {
            let file = product.file;
            progress(Progress::Found { file });
        } else {
            missing.push(product);
        }
    }
    if missing.is_empty() {
        return Ok(folder);
    }

    create(&folder)?;
    let work = work_folder(cache, entry.name);
    let made = download_and_make(entry, &missing, &work, &folder, progress);
    match &made {
        // The package itself is no good: it would fail again.
        Err(DataError::Checksum { .. } | DataError::Format { .. } | DataError::Lacks { .. })
        | Ok(()) => remove(&work)?,
        Err(_) => {}
    }
    made.map(|()| folder)
}

/// Where a fetch is under way.
pub(super) fn work_folder(cache: &DataCache, name: &str) -> PathBuf {
    cache.root().join(PARTIAL).join(name)
}

fn download_and_make(
    entry: &Fetchable,
    missing: &[&Product],
    work: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), DataError> {
    // There only as a whole: the client fills a folder of another name.
    let download = work.join("download");
    if !download.is_dir() {
        let filling = work.join("filling");
        remove(&filling)?;
        create(&filling)?;
        let command = entry.client.command(entry.package, entry.version).join(" ");
        progress(Progress::Downloading {
            command: &command,
            megabytes: entry.megabytes,
        });
        client::download(entry, &filling)?;
        fs::rename(&filling, &download).map_err(DataError::file(&download))?;
    }
    progress(Progress::Downloaded);

    let into = work.join("unpacked");
    remove(&into)?;
    create(&into)?;
    let unpacked = archive::unpack(entry, &download, &into)?;
    progress(Progress::Unpacked);

    for product in missing {
        let bytes = make::make(entry, product, &unpacked, folder)?;
        let file = product.file;
        progress(Progress::Made { file, bytes });
    }
    Ok(())
}

fn create(folder: &Path) -> Result<(), DataError> {
    fs::create_dir_all(folder).map_err(DataError::file(folder))
}

fn remove(folder: &Path) -> Result<(), DataError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(DataError::file(folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::client::Client;
    use super::super::registry::Make;
    use super::*;
    use crate::data::fetch::status::{State, status_of};

    // sha256sum of "hello\n", and of "a\n\nb\n\n".
    const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const JOINED: &str = "6b628ed55871130e689633f4dd5980dde47e308e5c352784162796e56b73863c";

    const fn entry(client: Client, products: &'static [Product]) -> Fetchable {
        Fetchable {
            name: "greeting",
            holds: "a greeting",
            licence: "none",
            megabytes: 1,
            client,
            // No registry is asked: every test lays the package down itself.
            package: "mech-robust-no-such-package",
            version: "0.0.0",
            products,
        }
    }

    static GREETING: Fetchable = entry(
        Client::Npm,
        &[
            Product {
                file: "hello",
                sha256: HELLO,
                make: Make::Copy("package/deep/hello.txt"),
            },
            Product {
                file: "joined",
                sha256: JOINED,
                make: Make::Join {
                    folder: "package/texts",
                    ending: ".txt",
                },
            },
        ],
    );

    const MEMBERS: [(&str, &str); 5] = [
        ("package/deep/hello.txt", "hello\n"),
        ("package/texts/2.txt", "b"),
        ("package/texts/1.txt", "a"),
        ("package/texts/0.md", "no text"),
        ("package/unwanted", "unwanted"),
    ];

    fn tarball(members: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, text) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// A cache where the download of a fetch came through.
    fn downloaded(file: &str, package: &[u8]) -> (tempfile::TempDir, DataCache) {
        let root = tempfile::tempdir().unwrap();
        let cache = DataCache::at(root.path());
        let download = work_folder(&cache, "greeting").join("download");
        fs::create_dir_all(&download).unwrap();
        fs::write(download.join(file), package).unwrap();
        (root, cache)
    }

    fn steps(entry: &Fetchable, cache: &DataCache) -> (Result<PathBuf, DataError>, Vec<String>) {
        let mut steps = Vec::new();
        let result = fetch_entry(entry, cache, &mut |step| steps.push(format!("{step:?}")));
        (result, steps)
    }

    #[test]
    fn a_download_that_came_through_is_unpacked_verified_and_put_in_place() {
        let (_root, cache) = downloaded("greeting.tgz", &tarball(&MEMBERS));
        assert_eq!(status_of(&GREETING, &cache).unwrap().state, State::Partial);
        let (folder, said) = steps(&GREETING, &cache);
        let folder = folder.unwrap();
        assert_eq!(folder, cache.folder("greeting"));
        assert_eq!(fs::read_to_string(folder.join("hello")).unwrap(), "hello\n");
        assert_eq!(
            fs::read_to_string(folder.join("joined")).unwrap(),
            "a\n\nb\n\n"
        );
        assert_eq!(said[..2], ["Downloaded", "Unpacked"]);
        assert_eq!(said[2], r#"Made { file: "hello", bytes: 6 }"#);
        assert!(!work_folder(&cache, "greeting").exists());
        let status = status_of(&GREETING, &cache).unwrap();
        assert_eq!((status.state, status.bytes), (State::Complete, 12));
    }

    #[test]
    fn right_files_are_never_fetched_again() {
        let (_root, cache) = downloaded("greeting.tgz", &tarball(&MEMBERS));
        steps(&GREETING, &cache).0.unwrap();
        let (again, said) = steps(&GREETING, &cache);
        again.unwrap();
        assert_eq!(
            said,
            [r#"Found { file: "hello" }"#, r#"Found { file: "joined" }"#]
        );
    }

    #[test]
    fn only_a_damaged_file_is_made_again() {
        let package = tarball(&MEMBERS);
        let (_root, cache) = downloaded("greeting.tgz", &package);
        let folder = steps(&GREETING, &cache).0.unwrap();
        fs::write(folder.join("joined"), "damaged").unwrap();
        let download = work_folder(&cache, "greeting").join("download");
        fs::create_dir_all(&download).unwrap();
        fs::write(download.join("greeting.tgz"), &package).unwrap();
        let (result, said) = steps(&GREETING, &cache);
        result.unwrap();
        assert_eq!(said[0], r#"Found { file: "hello" }"#);
        assert_eq!(said[3], r#"Made { file: "joined", bytes: 6 }"#);
    }

    #[test]
    fn of_a_wrong_checksum_nothing_is_kept() {
        let mut members = MEMBERS;
        members[0].1 = "hullo\n";
        let (_root, cache) = downloaded("greeting.tgz", &tarball(&members));
        let error = steps(&GREETING, &cache).0.unwrap_err().to_string();
        assert!(
            error.starts_with("hello of npm mech-robust-no-such-package 0.0.0: wrong checksum"),
            "{error}"
        );
        assert!(error.contains(HELLO), "{error}");
        assert!(!cache.folder("greeting").join("hello").exists());
        assert!(!work_folder(&cache, "greeting").exists());
        assert_eq!(status_of(&GREETING, &cache).unwrap().state, State::Absent);
    }

    #[test]
    fn damaged_packages_and_missing_members_are_named() {
        let whole = tarball(&MEMBERS);
        let (_root, cache) = downloaded("greeting.tgz", &whole[..whole.len() / 2]);
        let error = steps(&GREETING, &cache).0.unwrap_err().to_string();
        assert!(error.contains("not a whole gzipped tar archive"), "{error}");
        assert!(!work_folder(&cache, "greeting").exists());

        let (_root, cache) = downloaded("greeting.tgz", &tarball(&MEMBERS[1..]));
        let error = steps(&GREETING, &cache).0.unwrap_err().to_string();
        assert_eq!(
            error,
            "npm mech-robust-no-such-package 0.0.0 holds no file `package/deep/hello.txt`"
        );

        let (_root, cache) = downloaded("greeting.zip", &whole);
        let error = steps(&GREETING, &cache).0.unwrap_err().to_string();
        assert!(error.ends_with("holds no file `*.tgz`"), "{error}");
    }

    #[test]
    fn wheels_and_vendored_crates_are_read_too() {
        static WHEEL: Fetchable = entry(
            Client::PipWheel,
            &[Product {
                file: "hello",
                sha256: HELLO,
                make: Make::Copy("deep/hello.txt"),
            }],
        );
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("deep")).unwrap();
        fs::write(scratch.path().join("deep/hello.txt"), "hello\n").unwrap();
        let zip = ["python3", "-m", "zipfile", "-c", "a.whl", "deep"];
        client::run(&zip, "test", scratch.path()).unwrap();
        let wheel = fs::read(scratch.path().join("a.whl")).unwrap();
        let (_root, cache) = downloaded("a.whl", &wheel);
        let folder = steps(&WHEEL, &cache).0.unwrap();
        assert_eq!(fs::read_to_string(folder.join("hello")).unwrap(), "hello\n");

        static CRATE: Fetchable = entry(
            Client::Cargo,
            &[Product {
                file: "hello",
                sha256: HELLO,
                make: Make::Copy("greeting-0.0.0/hello.txt"),
            }],
        );
        let (_root, cache) = downloaded("Cargo.toml", b"");
        let vendored = work_folder(&cache, "greeting").join("download/vendor/greeting-0.0.0");
        fs::create_dir_all(&vendored).unwrap();
        fs::write(vendored.join("hello.txt"), "hello\n").unwrap();
        let folder = steps(&CRATE, &cache).0.unwrap();
        assert_eq!(fs::read_to_string(folder.join("hello")).unwrap(), "hello\n");
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = DataCache::at(file.path());
        let error = steps(&GREETING, &cache).0.unwrap_err().to_string();
        assert!(error.contains(".partial: "), "{error}");
        let unknown = fetch("mnits", &cache, &mut |_| {}).unwrap_err().to_string();
        assert!(unknown.contains("did you mean mnist"), "{unknown}");
    }
}
