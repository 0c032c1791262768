#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/rates.h"
#include "tools/show.h"

#define CMD_EVERY_MIN_S 0.1
#define CMD_EVERY_MAX_S 86400.0
#define CMD_BLOCK (256u << 10) /* more than a block has bytes */

/* What is shown: all since the daemon began, or rates since `before`. */
struct cmd_view {
	const json_t *before; /* NULL: since the daemon began */
	const json_t *now;
	double seconds;
	bool rates;
};

static const json_t *cmd_part(const json_t *o, const char *name)
{
	return json_object_get(o, name);
}

/* --- cells --------------------------------------------------------------- */

static double cmd_more(const struct cmd_view *w, const json_t *before,
	const json_t *now, const char *key)
{
	const double n = (double)rates_more(before, now, key);

	return w->rates ? n / w->seconds : n;
}

static void cmd_cell(struct show_table *t, const struct cmd_view *w, double n)
{
	if (n <= 0)
		show_table_cell(t, "-");
	else if (w->rates && n < 10)
		show_table_cell(t, "%.1f", n);
	else
		show_table_cell(t, "%.0f", n);
}

static void cmd_cell_bytes(struct show_table *t, double bytes)
{
	if (bytes < 1)
		show_table_cell(t, "-");
	else
		show_table_bytes(t, (uint64_t)bytes);
}

static void cmd_cell_ms(struct show_table *t, uint64_t us)
{
	if (us == 0)
		show_table_cell(t, "-");
	else if (us < 1000)
		show_table_cell(t, "%.3f", (double)us / 1000);
	else if (us < 10000)
		show_table_cell(t, "%.2f", (double)us / 1000);
	else
		show_table_cell(t, "%.0f", (double)us / 1000);
}

/* --- lines --------------------------------------------------------------- */

static void cmd_head(const struct cmd_view *w)
{
	const json_t *now = cmd_part(w->now, "daemon");
	const json_t *old = cmd_part(w->before, "daemon");
	char memory[TEXT_SIZE_MAX];
	char most[TEXT_SIZE_MAX];
	char at[16] = "";
	const time_t t = time(NULL);
	struct tm tm;

	if (w->rates && localtime_r(&t, &tm))
		(void)strftime(at, sizeof(at), "%H:%M:%S ", &tm);
	show_line(stdout,
		"%svolume %s: pid %llu, up %llu s, memory %s, at most %s", at,
		show_text(w->now, "volume"),
		(unsigned long long)show_uint(now, "pid"),
		(unsigned long long)show_uint(now, "uptime_us") / 1000000,
		show_size(now, "memory_bytes", memory),
		show_size(now, "memory_most_bytes", most));
	(void)printf("cpu      %.0f %%, requests in flight %llu\n",
		(double)rates_more(old, now, "cpu_us_total") / 1e4 / w->seconds,
		(unsigned long long)show_uint(w->now, "requests_in_flight"));
}

static void cmd_pending(const struct cmd_view *w)
{
	const json_t *p = cmd_part(w->now, "pending");
	const uint64_t slowed = rates_more(
		cmd_part(w->before, "pending"), p, "slowed_us_total");
	char dirty[TEXT_SIZE_MAX];
	char staged[TEXT_SIZE_MAX];
	char owed[TEXT_SIZE_MAX];

	(void)printf("pending  %s in memory, %s staged, %s owed to stores",
		show_size(p, "dirty_bytes", dirty),
		show_size(p, "staged_bytes", staged),
		show_size(p, "owed_bytes", owed));
	if (show_uint(p, "oldest_us"))
		(void)printf(", the oldest for %.1f s",
			(double)show_uint(p, "oldest_us") / 1e6);
	(void)putchar('\n');
	if (slowed)
		(void)printf("slowed   writes waited %.1f s for the clouds: "
			     "%s may be staged\n",
			(double)slowed / 1e6,
			show_size(p, "staged_limit_bytes", staged));
}

static void cmd_caches(const struct cmd_view *w)
{
	const json_t *now = cmd_part(w->now, "cache");
	const json_t *old = cmd_part(w->before, "cache");
	const double hits = (double)rates_more(old, now, "hits_total");
	const double all = hits + (double)rates_more(old, now, "misses_total");
	char used[TEXT_SIZE_MAX];
	char limit[TEXT_SIZE_MAX];

	(void)printf("cache    ");
	if (all > 0)
		(void)printf("%.1f %% of %.0f found, ", 100 * hits / all, all);
	(void)printf("%s of %s in use\n", show_size(now, "used_bytes", used),
		show_size(now, "limit_bytes", limit));
}

static void cmd_fetched(const struct cmd_view *w)
{
	const json_t *now = cmd_part(w->now, "fetches");
	const json_t *old = cmd_part(w->before, "fetches");
	const char *per = w->rates ? "/s" : "";
	char local[TEXT_SIZE_MAX];
	char cloud[TEXT_SIZE_MAX];

	(void)text_bytes(
		(uint64_t)cmd_more(w, old, now, "local_bytes_total"), local);
	(void)text_bytes(
		(uint64_t)cmd_more(w, old, now, "cloud_bytes_total"), cloud);
	(void)printf("fetched  %s%s from local packs, %s%s from stores\n",
		local, per, cloud, per);
}

/* Nothing before the first scan, but for what a repack does already. */
static void cmd_garbage(const struct cmd_view *w)
{
	const json_t *now = cmd_part(w->now, "garbage");
	const json_t *old = cmd_part(w->before, "garbage");
	const uint64_t all = show_uint(now, "scanned_bytes");
	const uint64_t live = show_uint(now, "live_bytes");
	char size[TEXT_SIZE_MAX];
	char copied[TEXT_SIZE_MAX];

	if (all == 0)
		return;
	(void)text_bytes(
		(uint64_t)cmd_more(w, old, now, "copied_bytes_total"), copied);
	(void)printf("garbage  %.1f %% of %s in packs, %s%s copied together\n",
		live < all ? 100 * (double)(all - live) / (double)all : 0,
		text_bytes(all, size), copied, w->rates ? "/s" : "");
}

/* Nothing while nothing was in pieces. */
static void cmd_merged(const struct cmd_view *w)
{
	const json_t *now = cmd_part(w->now, "merged");
	const json_t *old = cmd_part(w->before, "merged");
	const char *per = w->rates ? "/s" : "";
	char size[TEXT_SIZE_MAX];

	if (show_uint(now, "ranges_total") == 0)
		return;
	(void)text_bytes((uint64_t)cmd_more(w, old, now, "bytes_total"), size);
	(void)printf("merged   %.0f%s extents into %.0f%s, of %s%s\n",
		cmd_more(w, old, now, "extents_before_total"), per,
		cmd_more(w, old, now, "extents_after_total"), per, size, per);
}

static int cmd_requests(const struct cmd_view *w)
{
	static const char *const kinds[] = {"read", "write", "fsync", "lookup",
		"getattr", "setattr", "create", "unlink", "rename", "readdir",
		"xattr", "other", NULL};
	static const char *const totals[] = {"REQUESTS", ">COUNT", ">BYTES",
		">MEAN ms", ">P50 ms", ">P99 ms", ">ERRORS", NULL};
	static const char *const rates[] = {"REQUESTS", ">/s", ">BYTES/s",
		">MEAN ms", ">P50 ms", ">P99 ms", ">ERRORS", NULL};
	struct show_table t;

	show_table_start(&t, w->rates ? rates : totals);
	for (unsigned i = 0; kinds[i]; i++) {
		const json_t *now =
			cmd_part(cmd_part(w->now, "requests"), kinds[i]);
		const json_t *old =
			cmd_part(cmd_part(w->before, "requests"), kinds[i]);
		const json_t *h = cmd_part(now, "histogram_us");
		const json_t *g = cmd_part(old, "histogram_us");
		const uint64_t n = rates_more(old, now, "requests_total");

		if (n == 0)
			continue;
		show_table_cell(&t, "%s", kinds[i]);
		cmd_cell(&t, w, cmd_more(w, old, now, "requests_total"));
		cmd_cell_bytes(&t, cmd_more(w, old, now, "bytes_total"));
		cmd_cell_ms(&t, rates_more(old, now, "busy_us_total") / n);
		cmd_cell_ms(&t, rates_quantile(g, h, 500));
		cmd_cell_ms(&t, rates_quantile(g, h, 990));
		cmd_cell(&t, w, cmd_more(w, old, now, "errors_total"));
	}
	return show_table_end(&t);
}

/* What one call took, of those since `before`. */
static void cmd_cell_mean(struct show_table *t, const json_t *before,
	const json_t *now, const char *us, const char *calls)
{
	const uint64_t n = rates_more(before, now, calls);

	cmd_cell_ms(t, n ? rates_more(before, now, us) / n : 0);
}

static void cmd_store(
	struct show_table *t, const struct cmd_view *w, const json_t *s)
{
	const json_t *old = rates_named(
		cmd_part(w->before, "stores"), show_text(s, "name"));

	show_table_cell(t, "%s%s", show_text(s, "name"),
		json_is_false(cmd_part(s, "up")) ? " DOWN" : "");
	cmd_cell(t, w, cmd_more(w, old, s, "gets_total"));
	cmd_cell_bytes(t, cmd_more(w, old, s, "in_bytes_total"));
	cmd_cell_mean(t, old, s, "gets_us_total", "gets_total");
	cmd_cell(t, w, cmd_more(w, old, s, "puts_total"));
	cmd_cell_bytes(t, cmd_more(w, old, s, "out_bytes_total"));
	cmd_cell_mean(t, old, s, "puts_us_total", "puts_total");
	cmd_cell_ms(t, show_uint(s, "get_p50_us"));
	cmd_cell_ms(t, show_uint(s, "get_p99_us"));
	cmd_cell(t, w, cmd_more(w, old, s, "hedges_total"));
	cmd_cell(t, w, cmd_more(w, old, s, "errors_total"));
	show_table_cell(t, "%llu/%llu",
		(unsigned long long)show_uint(s, "in_flight"),
		(unsigned long long)show_uint(s, "window"));
	cmd_cell_bytes(t, (double)show_uint(s, "owed_bytes"));
}

static int cmd_stores(const struct cmd_view *w)
{
	static const char *const heads[] = {"STORE", ">GET", ">IN", ">ms",
		">PUT", ">OUT", ">ms", ">P50", ">P99", ">HEDGE", ">ERR",
		">BUSY", ">OWED", NULL};
	struct show_table t;
	const json_t *s;
	size_t i;

	show_table_start(&t, heads);
	json_array_foreach(cmd_part(w->now, "stores"), i, s)
	{
		cmd_store(&t, w, s);
	}
	return show_table_end(&t);
}

static int cmd_show(const json_t *before, const json_t *now, bool rates)
{
	const json_t *base = rates_base(before, now);
	const struct cmd_view w = {base, now, rates_seconds(base, now), rates};

	cmd_head(&w);
	cmd_pending(&w);
	cmd_caches(&w);
	cmd_fetched(&w);
	cmd_garbage(&w);
	cmd_merged(&w);
	(void)putchar('\n');
	if (cmd_requests(&w))
		return 1;
	(void)putchar('\n');
	return cmd_stores(&w);
}

/* --- watching ------------------------------------------------------------ */

/* What was to be told has been: each block leaves the program whole. */
static void cmd_stop(int signal)
{
	(void)signal;
	_exit(0);
}

static int cmd_told(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	(void)fprintf(stderr, "pluri: the answer cannot be written\n");
	return 1;
}

/* One line of JSON, or a block: over the one before on a terminal. */
static int cmd_block(const json_t *before, const json_t *now, bool json)
{
	if (json)
		(void)(json_dumpf(now, stdout, JSON_COMPACT | JSON_SORT_KEYS) ==
				0 &&
			putchar('\n'));
	else if (before) {
		(void)fputs(
			isatty(STDOUT_FILENO) ? "\033[H\033[J" : "", stdout);
		if (cmd_show(before, now, true))
			return 1;
		(void)putchar('\n');
	}
	return cmd_told();
}

static int cmd_watch(struct ask *a, double every, bool json)
{
	const struct timespec nap = {.tv_sec = (time_t)every,
		.tv_nsec = (long)((every - (double)(time_t)every) * 1e9)};
	struct sigaction stop = {.sa_handler = cmd_stop};
	ask_auto_json before = NULL;
	struct pluri_err err = {0};

	(void)sigaction(SIGINT, &stop, NULL);
	/* Of its own, or its size would not count; never freed, since stdout
	 * has it until the end. */
	(void)setvbuf(stdout, malloc(CMD_BLOCK), _IOFBF, CMD_BLOCK);
	for (;;) {
		json_t *now = NULL;

		if (ask_call(a, "stats", NULL, &now, &err) < 0) {
			show_line(stderr,
				"pluri: volume %s is watched no "
				"more: %s",
				a->config->name, err.text);
			return 1;
		}
		if (cmd_block(before, now, json)) {
			json_decref(now);
			return 1;
		}
		json_decref(before);
		before = now;
		(void)nanosleep(&nap, NULL);
	}
}

static int cmd_once(struct ask *a, bool json)
{
	ask_auto_json now = NULL;
	struct pluri_err err = {0};

	if (ask_call(a, "stats", NULL, &now, &err) < 0)
		return show_fail(&err);
	return json ? show_json(now) : cmd_show(NULL, now, false);
}

static int cmd_every(const char *text, double *ret)
{
	char *end = NULL;
	const double s = text ? strtod(text, &end) : 1;

	if (text && (end == text || *end || !(s >= CMD_EVERY_MIN_S) ||
			    s > CMD_EVERY_MAX_S)) {
		(void)fprintf(stderr,
			"pluri: --watch %s: seconds, from 0.1 to 86400\n",
			text);
		return -1;
	}
	*ret = s;
	return 0;
}

int cmd_stats(int argc, char **argv)
{
	pluri_auto(ask) a = NULL;
	struct pluri_err err = {0};
	const char *volume = NULL;
	const char *text = NULL;
	double every = 1;
	bool json = false;
	bool watch = false;
	const struct args_option options[] = {
		{"--watch", "[SECONDS]",
			"rates since the last look, until "
			"Ctrl-C; 1",
			&watch, &text},
		ARGS_JSON(&json), {NULL, NULL, NULL, NULL, NULL}};
	const struct args want = {"stats VOLUME [--watch [SECONDS]]",
		"Counts what the daemon of a mounted volume has done: requests "
		"of programs,\ncaches, requests to stores, and what is on its "
		"way to them. With --json\n--watch one object a line, of "
		"counters: rates are for the reader to form.",
		options, &volume, 1, 1};
	int r = args_parse(&want, argc, argv);

	if (r)
		return r < 0 ? 1 : 0;
	if (cmd_every(text, &every) < 0)
		return 1;
	if (ask_new(volume, CONTROL_REFUSE, &a, &err) < 0)
		return show_fail(&err);
	return watch ? cmd_watch(a, every, json) : cmd_once(a, json);
}
