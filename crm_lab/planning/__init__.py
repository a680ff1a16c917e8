"""From past experiments to the next month: the league of mechanics, pace and plan of a month."""
