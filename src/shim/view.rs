//! What the pane of a tmux session runs (`dogwatch view`).
