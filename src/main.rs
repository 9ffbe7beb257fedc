//! The command `recipe`: arguments in, exit code out.

fn main() {
    recipe::sandbox::helper_main_if_asked();
}
