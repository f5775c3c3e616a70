"""Tables: cells, rankings, differences, and the five formats that each is written in."""
