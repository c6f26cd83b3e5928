//! Builds the page into `target/site`, which the runner's build script embeds.
//!
//! `index.html` is the one description of the page, shared with Trunk; [`source`] reads its links. Then, in
//! this order: cargo compiles the crate to WebAssembly, wasm-bindgen makes the script between it and the
//! browser (and [`names`] makes their common names short), the style files become one without their comments, every file gets a hash of its content into its name and goes below
//! `assets/`, `index.html` is written with those names, and each file gets a brotli twin beside it. All that is
//! skipped when nothing that goes in has changed. Files that stay the same are not written again, so that the
//! runner is compiled anew only for a page that differs.

mod bundle;
mod names;
mod source;
mod style;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::{cargo, say};
use bundle::{Bundle, digest};
use source::{Asset, Source};

/// How much WebAssembly, scripts and styles may weigh together after compression, in bytes: it is fetched at every first opening.
const BUDGET: usize = 500_000;

/// Part of the stamp; to be raised when this code makes another page of the same sources.
const FORMAT: &str = "2";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is shipped: small. Held to the budget.
    Page,
    /// While it is worked on: quick to build.
    PageDev,
}

impl Profile {
    fn cargo_name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::PageDev => "page-dev",
        }
    }

    /// Best quality takes seconds, this one milliseconds.
    fn brotli_quality(self) -> i32 {
        match self {
            Self::Page => 11,
            Self::PageDev => 3,
        }
    }
}

/// Where the finished page lies; `runner/build.rs` knows the same place.
fn site() -> PathBuf {
    cargo::root().join("target/site")
}

/// Compressed size of all WebAssembly, scripts and styles of a page, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Weight(usize);

impl Weight {
    pub(crate) fn ensure_within_budget(self) -> anyhow::Result<()> {
        ensure!(
            self.0 <= BUDGET,
            "the page weighs {} bytes after compression, and may weigh {BUDGET}",
            self.0
        );
        Ok(())
    }
}

/// Brings `target/site` up to date.
pub(crate) fn build(profile: Profile) -> anyhow::Result<Weight> {
    let weight = bring_up_to_date(profile)?;
    if profile == Profile::Page
        && let Err(error) = weight.ensure_within_budget()
    {
        say::line(format_args!("warning: {error}"));
    }
    Ok(weight)
}

fn bring_up_to_date(profile: Profile) -> anyhow::Result<Weight> {
    let began = Instant::now();
    cargo::ensure_wasm_target()?;
    let root = cargo::root();
    let html = fs::read_to_string(root.join("index.html")).context("index.html cannot be read")?;
    let source = Source::read(&html).context("index.html")?;
    let rust = source.rust()?;

    say::step(format_args!("Building the page (profile {})", profile.cargo_name()));
    let wasm = cargo::build(
        &rust.bin,
        &[
            "--manifest-path",
            &rust.manifest,
            "--bin",
            &rust.bin,
            "--target",
            "wasm32-unknown-unknown",
            "--profile",
            profile.cargo_name(),
        ],
    )?;
    let wasm = fs::read(&wasm).with_context(|| format!("{} cannot be read", wasm.display()))?;

    let stamp_file = root.join("target/page-cache/stamp");
    let stamp = stamp(profile, &wasm, &source, root)?;
    let known = fs::read_to_string(&stamp_file).unwrap_or_default();
    if let Some((old, weight)) = known.split_once(' ')
        && let (true, Ok(weight)) = (old == stamp, weight.parse())
        && site().join("index.html").is_file()
    {
        say::line("    The page is up to date");
        return Ok(Weight(weight));
    }

    let mut bundle = Bundle::new(profile.brotli_quality());
    let entry = bind(profile, &rust.bin, wasm, root, &mut bundle)?;
    let html = compose(&source, &entry, root, &mut bundle)?;
    bundle.add_plain("index.html", html.into_bytes());
    let weight = bundle.write(&site())?;
    fs::create_dir_all(stamp_file.parent().expect("it has a folder"))?;
    fs::write(&stamp_file, format!("{stamp} {weight}"))?;
    say::line(format_args!("    Built the page in {:.1} s", began.elapsed().as_secs_f64()));
    Ok(Weight(weight))
}

/// The URLs of what starts the page.
struct Entry {
    start: String,
    script: String,
    wasm: String,
}

/// Runs wasm-bindgen and adds its products, and the module that starts them.
fn bind(
    profile: Profile,
    name: &str,
    wasm: Vec<u8>,
    root: &Path,
    bundle: &mut Bundle,
) -> anyhow::Result<Entry> {
    let out = root.join("target/page-cache/bindgen");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let mut output = Bindgen::new()
        .input_bytes(name, wasm)
        .out_name(name)
        .web(true)?
        .typescript(false)
        .remove_name_section(profile == Profile::Page)
        .remove_producers_section(true)
        .generate_output()
        .context("wasm-bindgen failed")?;
    let script = output.js().to_owned();
    let imports = output.wasm_mut().imports.iter_mut().map(|import| &mut import.name);
    let short = (profile == Profile::Page).then(|| names::shorten(&script, imports));
    output.emit(&out).context("wasm-bindgen failed")?;

    let wasm = bundle.add_hashed(name, "wasm", fs::read(out.join(format!("{name}_bg.wasm")))?);
    let script =
        short.map_or_else(|| fs::read(out.join(format!("{name}.js"))), |short| Ok(short.into_bytes()))?;
    let snippets = bundle::files_below(&out.join("snippets"))?;
    let script = if snippets.is_empty() {
        bundle.add_hashed(name, "js", script)
    } else {
        // The script imports them by relative paths, so they share a folder, named after all of them.
        let mut everything = script.clone();
        for file in &snippets {
            everything.extend(fs::read(out.join("snippets").join(file))?);
        }
        let folder = format!("assets/{name}-{}", digest(&everything));
        for file in snippets {
            let bytes = fs::read(out.join("snippets").join(&file))?;
            bundle.add_plain(&format!("{folder}/snippets/{file}"), bytes);
        }
        bundle.add_plain(&format!("{folder}/{name}.js"), script)
    };
    let start = format!(
        "import start from \"{script}\";\n\
         start({{ module_or_path: \"{wasm}\" }}).catch((error) => {{\n\
         \x20 const note = document.querySelector(\"#starting p\");\n\
         \x20 if (note) note.textContent = `Meanwhile could not start: ${{error}}. A current browser is needed.`;\n\
         \x20 throw error;\n\
         }});\n"
    );
    let start = bundle.add_hashed("start", "js", start.into_bytes());
    Ok(Entry { start, script, wasm })
}

/// Adds the linked files and writes `index.html` anew, with the links that a browser understands.
fn compose(source: &Source, entry: &Entry, root: &Path, bundle: &mut Bundle) -> anyhow::Result<String> {
    let mut style = Vec::new();
    for file in source.styles() {
        let css = fs::read_to_string(root.join(file)).with_context(|| format!("{file} cannot be read"))?;
        ensure!(
            !css.contains("url(") && !css.contains("@import"),
            "{file} refers to another file, whose name would change: link it from index.html instead"
        );
        style.extend_from_slice(style::plain(&css).as_bytes());
    }
    let mut style = Some(style);
    source.render(|asset| {
        Ok(match asset {
            Asset::Rust(_) => format!(
                "<link rel=\"preload\" as=\"fetch\" type=\"application/wasm\" crossorigin href=\"{}\">\n\
                 <link rel=\"modulepreload\" href=\"{}\">\n\
                 <script type=\"module\" src=\"{}\"></script>",
                entry.wasm, entry.script, entry.start
            ),
            // All of them became one file, which stands where the first one stood.
            Asset::Style(_) => match style.take() {
                Some(style) => {
                    format!("<link rel=\"stylesheet\" href=\"{}\">", bundle.add_hashed("style", "css", style))
                }
                None => String::new(),
            },
            Asset::Icon { file, kind } => {
                let bytes = fs::read(root.join(file)).with_context(|| format!("{file} cannot be read"))?;
                let path = Path::new(file);
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let end = path.extension().unwrap_or_default().to_string_lossy();
                let kind = kind.as_deref().map(|kind| format!(" type=\"{kind}\"")).unwrap_or_default();
                format!("<link rel=\"icon\"{kind} href=\"{}\">", bundle.add_hashed(&stem, &end, bytes))
            }
            Asset::CopyFile { file, to } => {
                copy(&root.join(file), to, bundle)?;
                String::new()
            }
            Asset::CopyDir { folder, to } => {
                for file in bundle::files_below(&root.join(folder))? {
                    let to = if to.is_empty() { file.clone() } else { format!("{to}/{file}") };
                    copy(&root.join(folder).join(&file), &to, bundle)?;
                }
                String::new()
            }
        })
    })
}

fn copy(file: &Path, to: &str, bundle: &mut Bundle) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    ensure!(!to.starts_with("assets/"), "{to}: `assets` holds only files with hashed names");
    bundle.add_plain(to, bytes);
    Ok(())
}

/// A digest of all that goes into the page.
fn stamp(profile: Profile, wasm: &[u8], source: &Source, root: &Path) -> anyhow::Result<String> {
    let mut everything =
        format!("{FORMAT} {} {}\n", profile.cargo_name(), env!("CARGO_PKG_VERSION")).into_bytes();
    everything.extend(digest(wasm).into_bytes());
    everything.extend(source.html().bytes());
    for file in source.files(root)? {
        everything.extend(file.to_string_lossy().bytes());
        everything.extend(digest(&fs::read(&file).with_context(|| file.display().to_string())?).into_bytes());
    }
    Ok(digest(&everything))
}

pub(crate) fn say_size(bytes: usize) -> String {
    let tenths = (bytes * 10).div_ceil(1024);
    format!("{}.{} KiB", tenths / 10, tenths % 10)
}
