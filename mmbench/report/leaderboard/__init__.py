"""The leaderboard: one page over several runs. `collect` reads them, `ranks` compares methods, `page` writes it."""
