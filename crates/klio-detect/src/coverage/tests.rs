//! Rules made by hand, and Klio's pack under the policies whose recordings are here.

mod made;
mod pack;
