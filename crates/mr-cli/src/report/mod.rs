//! Records and verdicts as one self-contained HTML file.
