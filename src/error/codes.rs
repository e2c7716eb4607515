//! The codes of the library.

crate::error_codes! {
    Usage {
        BAD_ARGUMENT "bad-argument":
            "The value of an option or of a call can't mean anything: no symbol, no date, out of range.";
            "write the value as the message says"
        UNKNOWN_STRATEGY "unknown-strategy":
            "No strategy of that name is compiled into this binary.";
            "name one of those listed; `magellan new NAME` adds a strategy, and building the binary again makes it known"
        CANNOT_WRITE "cannot-write":
            "Results could not be written: the folder can't be made, the disk is full, stdout is closed.";
            "name a folder that can be written and has space"
    }
    Config {
        NO_DEPLOYED_FOLDER "no-deployed-folder":
            "There is no folder `deployed` here or above, or it can't be read.";
            "run from the project's folder, or name it with --deployed DIR; `magellan init` makes a new project"
        NOTHING_DEPLOYED "nothing-deployed":
            "The folder `deployed` holds no strategy. Nothing to judge is never a pass.";
            "add deployed/<strategy>/config.json, or name another folder with --deployed DIR"
        NO_CONFIG "no-config":
            "A folder under `deployed` has no config.json.";
            "add one, or remove the folder: each folder here is a deployed strategy"
        CONFIG_UNREADABLE "config-unreadable":
            "The config isn't a regular file of at most 1 MiB of UTF-8 text that may be read.";
            "check the file's kind, size, encoding and permissions"
        CONFIG_SYNTAX "config-syntax":
            "The config is not JSON.";
            "correct the text at the named line and column"
        DUPLICATE_KEY "duplicate-key":
            "A key stands twice in one object; readers would disagree on which counts.";
            "remove one of the two"
        UNKNOWN_KEY "unknown-key":
            "Nothing reads this key, so its value would be ignored.";
            "correct its name or remove it; `magellan schema` lists the keys"
        MISSING_KEY "missing-key":
            "A key that Magellan needs is not there. Nothing is defaulted.";
            "add the key; `magellan schema` describes it"
        WRONG_TYPE "wrong-type":
            "A value has another type than its key.";
            "write a value of the named type"
        OUT_OF_RANGE "out-of-range":
            "A value lies outside its allowed range. Mind the units: 0.02 is 2 %.";
            "choose a value inside the range"
        NOT_ALLOWED "not-allowed":
            "A value is none of those that the replay and the service know; another would be ignored.";
            "use one of the allowed values"
        CONTRADICTION "contradiction":
            "Two values can't both hold.";
            "change one of them"
        WEEKLY_BARS "weekly-bars":
            "A gate judges returns of sessions, of which weekly bars tell one a week.";
            "deploy the strategy on daily bars; weekly ones are for backtest, sweep and walk-forward"
        NO_CRITERIA "no-criteria":
            "The config demands nothing: no performance_criteria, no period or no criterion.";
            "a strategy without criteria can't pass: add performance_criteria.periods and .criteria"
        BAD_ACKNOWLEDGEMENT "bad-acknowledgement":
            "An accepted failure says too little, holds for too long, or its file isn't JSON.";
            "write one with `magellan gate acknowledge`: check, period, who, why, and at most 90 days"
        OTHER_STRATEGY "other-strategy":
            "The config is that of another strategy than its folder's.";
            "make strategy.name, the folder's name and the strategy the same"
        ORDERS_UNREADABLE "orders-unreadable":
            "The orders file is neither a table of UTF-8 text nor Parquet that can be read.";
            "write it as CSV with a header, or as Parquet with the same columns"
        ORDER_BAD_COLUMN "order-bad-column":
            "An orders file has a column that isn't known, or one twice. Nothing else in it is looked at.";
            "rename or remove the column; docs/orders.md lists those that there are"
        ORDER_MISSING_COLUMN "order-missing-column":
            "An orders file needs the columns time, symbol and id. Nothing else in it is looked at.";
            "add the column"
        ORDER_BAD_ROW "order-bad-row":
            "A row of an orders file has more or fewer cells than the header.";
            "write a cell for each column, empty where there is nothing to say; quote texts with commas"
        ORDER_BAD_VALUE "order-bad-value":
            "A cell of an orders file means nothing: no number, an unknown word, zero where that makes no sense.";
            "write the value as the message says"
        ORDER_UNKNOWN_SYMBOL "order-unknown-symbol":
            "An order is of a symbol that isn't replayed.";
            "add the symbol to `symbols`, or correct it in the file"
        ORDER_CONTRADICTION "order-contradiction":
            "Two things that a row says, or a row and the order that it changes, don't go together.";
            "leave out what the message names, or add what it needs"
        ORDER_NO_BAR "order-no-bar":
            "An order names a bar that the replay doesn't have. It is never moved to another bar.";
            "check time zone, bar width, session and period: a time is the start of a bar, in UTC unless it has an offset"
        ORDER_DUPLICATE_ID "order-duplicate-id":
            "Two orders of a file have one name; the later one is refused.";
            "give each order and each close a name of its own"
        ORDER_UNKNOWN_ID "order-unknown-id":
            "A cancel or replace names no earlier order of its symbol.";
            "name an order that a row before it places, of the same symbol"
        RULE_SYNTAX "rule-syntax":
            "A rule can't be read: a word stands where another is expected, or it ends too early.";
            "correct the rule at the named column; `magellan rules check --expr TEXT` tries one"
        RULE_UNKNOWN_NAME "rule-unknown-name":
            "A rule uses a name that stands for nothing.";
            "correct the name; `magellan rules functions` lists all, and `let` gives names"
        RULE_UNKNOWN_FUNCTION "rule-unknown-function":
            "A rule calls a function that there is not.";
            "correct the name; `magellan rules functions` lists all"
        RULE_UNKNOWN_FIELD "rule-unknown-field":
            "A rule asks for a field that a value doesn't have.";
            "choose a field that it has; `magellan rules functions` lists them"
        RULE_UNKNOWN_SYMBOL "rule-unknown-symbol":
            "What stands before the colon is no symbol, or stands inside another symbol's value.";
            "write the symbol with capital letters directly before the colon"
        RULE_ARITY "rule-arity":
            "A function has more or fewer arguments than it takes.";
            "write as many arguments as it takes"
        RULE_KIND "rule-kind":
            "A number stands where a condition is needed, or a condition where a number is.";
            "compare a number with another to make a condition"
        RULE_UNDEFINED_PARAMETER "rule-undefined-parameter":
            "A rule uses a parameter that the config doesn't give, or that is no number.";
            "add it to strategy_parameters or symbol_parameters"
        RULE_UNUSED_PARAMETER "rule-unused-parameter":
            "No rule uses a parameter, so its value would be ignored.";
            "use it in a rule, or remove it"
        RULE_UNUSED_LET "rule-unused-let":
            "No rule uses what `let` gives a name.";
            "use it in a rule, or remove it"
        RULE_PERIOD "rule-period":
            "A number of bars isn't a whole number that is the same at each bar, or is out of range.";
            "write a whole number or a parameter that is one"
        RULE_WIDTH "rule-width":
            "There are no bars of the width after `@`, or the strategy's bars don't make them.";
            "write 5m, 1h, 1d or 1w, not finer than the strategy's bars"
        RULE_POSITION_NAME "rule-position-name":
            "A rule speaks of the position where there is none, or where other bars are looked at.";
            "use it in exit, stop, trail_stop or targets, outside of functions that look at several bars"
        RULE_CONSTANT_CONDITION "rule-constant-condition":
            "A condition is the same at each bar.";
            "compare values of bars, or a parameter"
        RULE_BRACKET_SIDE "rule-bracket-side":
            "A stop or a target always lies on the wrong side of the entry.";
            "a long position's stop lies below its entry, its targets above; of a short one the other way round"
        RULE_HIDES_BUILTIN "rule-hides-builtin":
            "`let` gives a name that rules know already.";
            "choose another name"
        RULE_UNKNOWN_KEY "rule-unknown-key":
            "Nothing reads this key of `rules`.";
            "correct its name or remove it"
        RULE_MISSING_KEY "rule-missing-key":
            "A key that rules need is not there. Nothing is defaulted.";
            "add the key"
        RULE_CONTRADICTION "rule-contradiction":
            "Two things that rules say don't go together.";
            "keep one of them"
        RULE_BAD_VALUE "rule-bad-value":
            "A value in `rules` means nothing there.";
            "write the value as the message says"
        RULE_TOO_DEEP "rule-too-deep":
            "A rule is nested too deeply.";
            "give parts of it names under `let`"
        RULE_TOO_LONG "rule-too-long":
            "A rule is too long, or there are too many.";
            "give parts of it names under `let`"
        RULE_NOT_YET "rule-not-yet":
            "The language of rules has this, and Magellan can't do it yet.";
            "write the strategy in Rust, or without it"
    }
    Data {
        BROKER_CONTRADICTION "broker-contradiction":
            "What the broker says of an order can't be true together with what is known of it. Nothing is traded on.";
            "compare the broker's orders and positions with the journal; then `magellan reconcile --accept`"
        JOURNAL_DAMAGED "journal-damaged":
            "A journal of orders has a line that is not as it was written. What it says isn't believed.";
            "keep the file, and compare it with the broker's own records before anything is traded"
        NO_ARCHIVE "no-archive":
            "The folder is not an archive: it has no manifest.json.";
            "name one with --archive DIR, or make one with `magellan data import SRC --archive DIR`"
        MANIFEST_DAMAGED "manifest-damaged":
            "The archive's table of contents is not one, or its checksum doesn't match.";
            "restore the archive from version control, or run `magellan data import` into a new folder"
        RECORD_MISSING "record-missing":
            "A record that the manifest names isn't there or can't be read.";
            "restore the file, or import its source into a new archive"
        RECORD_CHANGED "record-changed":
            "A record's hash is not the one in the manifest: it was changed, damaged or cut.";
            "restore the file, or import its source into a new archive"
        RECORD_FOREIGN "record-foreign":
            "A record says or holds something else than its entry in the manifest.";
            "restore the file, or import its source into a new archive"
        CACHE_WRONG "cache-wrong":
            "A cache is intact and claims to be made from the records, but holds other values.";
            "delete the archive's folder `cache`; it is made anew"
        COLUMN_MISMATCH "column-mismatch":
            "Columns of bars that were lent to Magellan differ in length, hold nulls or have another type.";
            "lend six columns of one length, starts as ns UTC, without nulls"
        BARS_DISORDERED "bars-disordered":
            "Bars are not in the order of their start times.";
            "import the source again into a new archive"
        NO_BARS "no-bars":
            "The archive has no bars of this symbol and width, or none in the period.";
            "import the missing bars, change the period, or take the symbol out of the config's symbols"
        PERIOD_UNCOVERED "period-uncovered":
            "The archive covers a part of the period only; a verdict on it would be one on that part.";
            "import the missing bars, or change the period in performance_criteria"
        OUTSIDE_CALENDAR "outside-calendar":
            "A date lies outside the exchange calendar, 1990 to 2030.";
            "check the timestamps' unit and time zone, or update Magellan"
        SOURCE_MISSING "source-missing":
            "A file or folder to read isn't there.";
            "check the path"
        SOURCE_UNREADABLE "source-unreadable":
            "The file can't be read as what it claims to be: it is cut, damaged or foreign.";
            "fetch or write the file again"
        SOURCE_TOO_LARGE "source-too-large":
            "The file, or what it claims to hold, is larger than any that Magellan reads.";
            "split the file, e.g. by symbol or year"
        NOT_A_SOURCE "not-a-source":
            "The file is neither Parquet nor CSV with bars.";
            "name Parquet or CSV files, or folders that hold them"
        MISSING_COLUMN "missing-column":
            "A column that bars need is not there.";
            "bars need the columns timestamp, open, high, low, close and volume"
        DUPLICATE_COLUMN "duplicate-column":
            "Two columns of a file mean the same, and only one of them can count.";
            "remove one of them, or say which counts with --columns"
        COLUMN_UNKNOWN "column-unknown":
            "A column of text that isn't understood has several values: bars of two symbols could hide behind it.";
            "say what it is with --columns symbol=NAME, or leave it out with --columns ignore=NAME"
        SYMBOL_UNCLEAR "symbol-unclear":
            "A file's columns, folder and name mean different symbols, or the name could mean several.";
            "say it with --symbol, or rename the file"
        NO_ZONE "no-zone":
            "The file's times are local ones, and nothing says of which zone.";
            "say it: --zone America/New_York, or --zone UTC"
        COLUMN_TYPE "column-type":
            "A column has a type from which its values can't be read without guessing.";
            "store timestamps as timestamps and prices as numbers"
        MISSING_VALUE "missing-value":
            "A row lacks its time, symbol, price or volume.";
            "complete or remove the row"
        BAD_VALUE "bad-value":
            "A field can't be read: no number, no timestamp, no symbol.";
            "correct or remove the row"
        BAD_PRICE "bad-price":
            "A price is not above 0, a volume is negative, or one of them is not finite.";
            "correct or remove the row"
        IMPLAUSIBLE_PRICE "implausible-price":
            "Prices that no share has: above 1,000,000 dollars, or whole numbers throughout that count smaller units.";
            "divide the prices by what they are multiplied with, e.g. 1,000,000,000, and import the file again"
        BAR_WIDTH "bar-width":
            "What was said of the bars' width, the file's name and the spacing of its rows disagree.";
            "say it with --timeframe, e.g. --timeframe 5Min, if the rows really are such bars"
        CONFLICTING_BARS "conflicting-bars":
            "Two different bars have one start time.";
            "decide which source is right and import it alone"
        BAD_TABLE "bad-table":
            "A table beside the bars has another header, a value that can't be one, dates out of order, two rows of one day that differ, or a row without a reason.";
            "write the columns that `magellan data import --help` names for this table"
        SPLIT_CONFLICT "split-conflict":
            "Two different split ratios for one symbol and day.";
            "correct the split table and import all sources into a new archive; one keeps one ratio a day"
        SPLIT_INVERTED "split-inverted":
            "A declared split doesn't show in the prices, but its inverse does: the wrong way round.";
            "write new shares per old share, 1/30 for a reverse split, and import all sources into a new archive"
        RENAME_OVERLAP "rename-overlap":
            "A symbol has bars from before the day on which it took over another's, and so has the other.";
            "leave the rename out if the new symbol's bars go back far enough, or leave one of the two out"
        NO_MEMORY "no-memory":
            "The system gives less memory, or fewer threads, than the sources need.";
            "import fewer files at a time, or raise the limit (`ulimit -v`, the container's memory)"
        IO "io":
            "The operating system refused to read or write a file.";
            "check the path, its permissions and the free space, then run again"
        BAD_OHLC "bad-ohlc":
            "A bar's high is below, or its low above, one of its other prices.";
            "fetch these bars again (low <= open, close <= high) and import all sources into a new archive"
        DUPLICATE_BARS "duplicate-bars":
            "The same bar stands more than once; import drops all but the first.";
            "nothing to do: an archive holds each bar once"
        OVERLAPPING_SOURCES "overlapping-sources":
            "Two files hold the same bars of one series; import drops all but the first.";
            "nothing to do: an archive holds each bar once"
        PHANTOM_DAYS "phantom-days":
            "Daily bars on days without a session, e.g. Saturdays: days were cut in UTC. They are never replayed.";
            "nothing to do: they are left out; fetch session days if extended hours shouldn't count"
        OFF_HOURS "off-hours":
            "Intraday bars on days without a session. They are not replayed in regular hours.";
            "nothing to do for regular hours; check the time zone if there are many"
        MISSING_SESSIONS "missing-sessions":
            "Exchange sessions between two archived ones have no bar at all.";
            "import the missing sessions, or declare each day in a table of moves (symbol,date,reason)"
        NOT_ARCHIVED "not-archived":
            "A stretch of ten or more sessions between archived ones was never imported.";
            "nothing to do unless a period needs it: a gate refuses a period that reaches into it"
        PARTIAL_SESSION "partial-session":
            "A session has less than half of the bars that this symbol always has.";
            "import the missing bars, or declare the day in a table of moves (symbol,date,reason)"
        THIN_DAY "thin-day":
            "A day's volume is under a tenth of the median of the sessions around it: the day is likely cut.";
            "fetch the day again and import into a new archive, or declare it in a table of moves (symbol,date,reason)"
        END_STAMPED "end-stamped":
            "Bars are stamped with their end: a strategy would know each price a bar early.";
            "import the source again with stamps moved back by a bar's width"
        UNDECLARED_JUMP "undeclared-jump":
            "The close changed by more than 40 % between consecutive sessions, and no split explains it.";
            "declare a split, or declare the day as real in a table of moves (symbol,date,reason)"
        PRICE_SPIKE "price-spike":
            "An open or close lies more than 40 % beyond the prices before and after it, on the same side: a bad print.";
            "fetch these bars again and import all into a new archive, or declare the day in a table of moves"
        SPLIT_NOT_FOUND "split-not-found":
            "A declared split doesn't show in the prices: a wrong date, a ratio far off, or prices already adjusted.";
            "correct the split table and import all sources into a new archive, with raw prices"
        SPLIT_FOUND "split-found":
            "A declared split shows in the prices.";
            "nothing to do"
        DIVIDEND_WRONG "dividend-wrong":
            "A dividend is as much as the share before it or more, or on a day without a session.";
            "correct the table of dividends: symbol,ex_date,amount in dollars a share of that day"
        DIVIDEND_ADJUSTED "dividend-adjusted":
            "A dividend seems to be adjusted for a later split: the amounts go on as if there were none.";
            "write amounts as they were paid, a share of that day; nothing to do if they are"
        DELISTING_WRONG "delisting-wrong":
            "A symbol has bars after its last session, or that is a day without one.";
            "correct the table of delistings, or leave out the bars after it"
        RENAME_ONE_SIDED "rename-one-sided":
            "A rename has bars on one of its sides only, or on none.";
            "import the missing bars, or leave the rename out if the new symbol has the old one's bars already"
        BARS_BUILT "bars-built":
            "The archive has no bars of this width: they were built from finer ones.";
            "nothing to do"
        DECLARED_DAY "declared-day":
            "A day that would be a finding is declared in the table of moves.";
            "nothing to do; check the reason"
        TIME_ZONE "time-zone":
            "Most trading seems to happen outside the session: the times look like New York's, stored as UTC.";
            "write timestamps with their zone, or convert them to UTC"
        NAIVE_TIMES "naive-times":
            "The file's timestamps have no zone; they are read as UTC.";
            "nothing to do if they are UTC; else write timestamps with their zone"
    }
    Refused {
        ARCHIVE_EXISTS "archive-exists":
            "There is an archive already where a new one was to be made.";
            "name a new folder: synthetic bars are never mixed into an archive"
        PROVENANCE_RENAMED "provenance-renamed":
            "The file carries a mark of its origin, and it was to be imported under another.";
            "leave out --provenance; a mark such as `synthetic` stays with the bars"
        PROVENANCE_MIXED "provenance-mixed":
            "One series would mix bars of different origin.";
            "keep bars of different origin in different archives"
        OTHER_CALENDAR "other-calendar":
            "Two calendars meet: an archive's, and an import's or the one that a strategy's broker demands.";
            "keep bars of different calendars in different archives; stocks need one of XNYS"
        DAYS_MIXED "days-mixed":
            "One series would mix session days and UTC days.";
            "keep session days and UTC days in different archives"
        OTHER_SWEEP "other-sweep":
            "The folder holds results of another sweep: other parameters, data or version.";
            "name another folder with --out, or repeat the command that began this one"
        SWEEP_INCOMPLETE "sweep-incomplete":
            "Parts of a sweep are missing, so that its results would have a gap.";
            "run the shards that are missing, then merge again"
        PART_DAMAGED "part-damaged":
            "A part of a sweep isn't what was written: its bytes don't match the checksum in its name.";
            "remove the file and run the shard again: it computes what is missing"
        HELD_OUT_SESSIONS "held-out-sessions":
            "The period reaches into sessions that were set aside: only a gate may look at them.";
            "end the period before them; `magellan holdout show` tells which they are"
        LEDGER_ALTERED "ledger-altered":
            "A record of the trial ledger isn't what was written: its name is the hash of its bytes.";
            "restore it from version control: trials are never edited"
        LEDGER_GAP "ledger-gap":
            "Another record names this one as seen, and it is gone: trials would be forgotten.";
            "restore it from version control"
        BAD_BASELINE "bad-baseline":
            "The record of what is deployed was altered, or is another strategy's.";
            "restore it from version control, or record it again from a verdict with `magellan baseline record`"
        VERDICT_ALTERED "verdict-altered":
            "A verdict's digest isn't that of its contents, or it is no verdict.";
            "judge again with `magellan gate --out DIR`: verdicts are never edited"
        VERDICT_FORBIDS "verdict-forbids":
            "The verdict is neither PASS nor WARN.";
            "mend what failed, or record who accepts it with `magellan gate acknowledge`, and judge again"
        VERDICT_DIFFERS "verdict-differs":
            "Judging again, from the same trials, gave another answer than the verdict's.";
            "restore bundle, config, archive and ledger as they were judged, or judge anew"
        RULES_DISAGREE "rules-disagree":
            "A strategy declares rules or needs for sweeps that say otherwise than its `decide`.";
            "correct `rules` or `needs`, or remove them: without them a sweep asks `decide` at every bar"
    }
}
