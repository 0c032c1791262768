#include <errno.h>
#include <stdlib.h>

#include "backends/conformance.h"
#include "backends/fleet.h"
#include "base/text.h"
#include "fs/roster.h"

#include "fs/probe.h"

#define PROBE_BYTES 4096u
#define PROBE_OFF 1000u /* of the part that is read */
#define PROBE_LEN 100u

/* One store while it is being probed. */
struct probe {
	const struct config_store *c;
	uint32_t timeout_ms;
	struct roster_host *host;
	struct fleet *fleet;
	void (*each)(void *arg, const struct probe_result *r);
	void *arg;
	uint64_t began_us;
	char key[PLURI_OBJECT_KEY_MAX + 1];
	uint8_t bytes[PROBE_BYTES];
	unsigned listed; /* how often the canary was */
};

static void probe_free(struct probe *p)
{
	fleet_free(p->fleet); /* closes the plugin, which uses its host */
	roster_host_free(p->host);
	free(p);
}
PLURI_OWN(probe);

/* --- telling ------------------------------------------------------------- */

static uint64_t probe_now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t probe_deadline(struct probe *p)
{
	p->began_us = probe_now_us();
	return clock_mono_ms(clock_system()) + p->timeout_ms;
}

/* What a server's word for its refusal means to who set it up. */
static const char *probe_word(const char *story)
{
	static const struct {
		const char *word, *means;
	} words[] = {
		{"InvalidAccessKeyId", "the key id is not known there"},
		{"SignatureDoesNotMatch", "the secret key is wrong"},
		{"AuthorizationHeaderMalformed", "the region is wrong"},
		{"PermanentRedirect", "the region or url is another's"},
		{"RequestTimeTooSkewed", "the clocks differ too much"},
		{"NoSuchBucket", "the bucket does not exist"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(story, words[i].word))
			return words[i].means;
	return NULL;
}

static const char *probe_class(int code)
{
	switch (fleet_class_of(code)) {
	case FLEET_DOWN:
		return code == -ETIMEDOUT ? "no answer in time"
					  : "not reachable";
	case FLEET_THROTTLED:
		return "asks for fewer requests";
	case FLEET_AUTH:
		return "credentials refused";
	case FLEET_MISSING:
		return "bucket or directory is missing";
	case FLEET_CORRUPT:
		return "answers with wrong bytes or another protocol";
	case FLEET_FULL:
		return "full";
	case FLEET_FOREIGN:
		return "holds another volume";
	case FLEET_OK:
		break;
	}
	return "failed";
}

static void probe_tell(
	struct probe *p, const char *step, bool ok, const char *text)
{
	const struct probe_result r = {
		.store = p->c->name,
		.step = step,
		.ok = ok,
		.ms = (double)(probe_now_us() - p->began_us) / 1000.0,
		.text = text,
	};

	p->each(p->arg, &r);
}

/* A step's end: true when it went well. */
static bool probe_step(struct probe *p, const char *step, int code,
	const char *found, const struct pluri_err *err)
{
	char text[PLURI_ERR_TEXT + 128];
	const char *word = code < 0 ? probe_word(err->text) : NULL;

	if (code >= 0) {
		probe_tell(p, step, true, found);
		return true;
	}
	(void)snprintf(text, sizeof(text), "%s: %s",
		word ? word : probe_class(code), err->text);
	probe_tell(p, step, false, text);
	return false;
}

/* --- steps --------------------------------------------------------------- */

static int probe_connect(struct probe *p, struct pluri_err *err)
{
	const struct fleet_options o = {
		.clock = clock_system(),
		.timeout_ms = p->timeout_ms,
	};
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_backend *b = NULL;
	int r;

	r = fleet_new(&o, &p->fleet, err);
	if (r == 0)
		r = roster_instance(p->c, &ops, &b, &p->host, err);
	if (r < 0)
		return r;
	r = fleet_add(p->fleet, 0, p->c->name, ops, b, err);
	if (r < 0)
		ops->close(b);
	return r;
}

static bool probe_open(struct probe *p)
{
	static const struct {
		uint64_t cap;
		const char *has, *lacks;
	} caps[] = {
		{PLURI_CAP_RANGE, "ranges", "no ranges"},
		{PLURI_CAP_NEW, "conditional put", "no conditional put"},
		{PLURI_CAP_VISIBLE, "visible at once", "visible late"},
		{PLURI_CAP_SORTED, "sorted list", "unsorted list"},
	};
	struct fleet_health h = {0};
	struct pluri_err err = {0};
	char text[256] = "";
	int r;

	(void)probe_deadline(p);
	r = probe_connect(p, &err);
	if (r < 0)
		return probe_step(p, "open", r, "", &err);
	(void)fleet_health(p->fleet, 0, &h);
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		const size_t n = strlen(text);

		(void)snprintf(text + n, sizeof(text) - n, "%s%s",
			n ? ", " : "",
			h.caps & caps[i].cap ? caps[i].has : caps[i].lacks);
	}
	return probe_step(p, "open", 0, text, &err);
}

static bool probe_put(struct probe *p)
{
	const struct pluri_span body = {p->bytes, sizeof(p->bytes)};
	struct pluri_err err = {0};
	const int r = fleet_put_one(
		p->fleet, 0, p->key, body, probe_deadline(p), FLEET_BARE, &err);

	return probe_step(p, "put", r, "4 KiB written", &err);
}

/* Another object under the same name must be refused. */
static bool probe_again(struct probe *p)
{
	const struct pluri_span body = {p->bytes, PROBE_LEN};
	struct pluri_err err = {0};
	int r = fleet_put_one(
		p->fleet, 0, p->key, body, probe_deadline(p), FLEET_BARE, &err);

	if (r == 0)
		r = pluri_fail(&err, EBADMSG,
			"a second put of the same name was accepted: objects "
			"could be overwritten");
	else if (r == -EEXIST)
		r = 0;
	return probe_step(p, "put-again", r, "refused, as it must be", &err);
}

static int probe_read(
	struct probe *p, uint64_t off, size_t len, struct pluri_err *err)
{
	uint8_t got[PROBE_BYTES];
	struct pluri_room room = {.data = got, .cap = len};
	uint64_t size = 0;
	int r;

	r = fleet_get(p->fleet,
		&(struct fleet_at){.key = p->key,
			.deadline_ms = probe_deadline(p),
			.flags = FLEET_BARE},
		off, &room, &size, err);
	if (r < 0)
		return r;
	if (size != PROBE_BYTES || room.len != len ||
		memcmp(got, p->bytes + off, len) != 0)
		return pluri_fail(err, EBADMSG,
			"%zu bytes of an object of %llu came back, not the %zu "
			"that were written",
			room.len, (unsigned long long)size, len);
	return 0;
}

static bool probe_get(struct probe *p)
{
	struct pluri_err err = {0};
	const int r = probe_read(p, 0, PROBE_BYTES, &err);

	return probe_step(p, "get", r, "the same bytes", &err);
}

static bool probe_range(struct probe *p)
{
	struct pluri_err err = {0};
	const int r = probe_read(p, PROBE_OFF, PROBE_LEN, &err);

	return probe_step(p, "range", r, "the bytes asked for", &err);
}

static int probe_seen(void *arg, const char *key, uint64_t size)
{
	struct probe *p = arg;

	if (strcmp(key, p->key) == 0 && size == PROBE_BYTES)
		p->listed++;
	return 0;
}

static bool probe_list(struct probe *p)
{
	struct pluri_page page = {.each = probe_seen, .arg = p};
	struct pluri_err err = {0};
	int r;

	p->listed = 0;
	/* the whole name as prefix: one key, whatever else lies there */
	r = fleet_list(p->fleet, 0, p->key, &page, probe_deadline(p),
		FLEET_BARE, &err);
	if (r == 0 && p->listed != 1)
		r = pluri_fail(&err, EBADMSG,
			"the object just written is listed %u times",
			p->listed);
	return probe_step(p, "list", r, "listed once", &err);
}

static bool probe_del(struct probe *p)
{
	struct pluri_room room = {.data = p->bytes, .cap = PROBE_LEN};
	struct pluri_err err = {0};
	int r;

	r = fleet_del(p->fleet, 0, p->key, probe_deadline(p), FLEET_BARE, &err);
	if (r == 0) {
		r = fleet_get(p->fleet,
			&(struct fleet_at){.key = p->key,
				.deadline_ms = probe_deadline(p),
				.flags = FLEET_BARE},
			0, &room, NULL, &err);
		if (r == 0)
			r = pluri_fail(&err, EBADMSG,
				"the object is still there after it was "
				"deleted");
		else if (r == -ENOENT)
			r = 0;
	}
	return probe_step(p, "del", r, "gone", &err);
}

/* --- conformance --------------------------------------------------------- */

static void probe_case(void *arg, const char *name, bool ok, const char *story)
{
	struct probe *p = arg;

	probe_tell(p, name, ok, story[0] ? story : "as it must be");
	p->began_us = probe_now_us();
}

static void probe_conform(struct probe *p)
{
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_backend *b = NULL;
	struct roster_host *host = NULL;
	struct pluri_err err = {0};
	struct conformance c = {
		.url = p->c->url,
		.timeout_ms = p->timeout_ms,
		.report = probe_case,
		.arg = p,
	};
	int r;

	p->began_us = probe_now_us();
	r = roster_instance(p->c, &ops, &b, &host, &err);
	if (r == 0) {
		ops->close(b); /* only its host is wanted */
		c.ops = ops;
		c.host = roster_host_face(host);
		r = conformance_run(&c, &err);
	}
	(void)probe_step(p, "conformance", r, "all cases held", &err);
	roster_host_free(host);
}

/* ------------------------------------------------------------------------- */

static void probe_name(struct probe *p)
{
	uint8_t id[PLURI_ID_BYTES];
	char hex[2 * PLURI_ID_BYTES + 1];

	clock_random(clock_system(), id, sizeof(id));
	clock_random(clock_system(), p->bytes, sizeof(p->bytes));
	(void)snprintf(p->key, sizeof(p->key), "probe/%s",
		text_hex(id, sizeof(id), hex));
}

/* False when there is nothing to delete. */
static bool probe_canary(struct probe *p)
{
	if (!probe_put(p)) {
		/* a lost answer may have left it there */
		(void)fleet_del(p->fleet, 0, p->key, probe_deadline(p),
			FLEET_BARE, NULL);
		return false;
	}
	if (probe_get(p))
		(void)probe_range(p);
	(void)probe_list(p);
	(void)probe_again(p);
	return true;
}

static int probe_store(const struct config *c, const struct config_store *s,
	bool conformance, void (*each)(void *arg, const struct probe_result *r),
	void *arg, struct pluri_err *err)
{
	pluri_auto(probe) p = calloc(1, sizeof(*p));

	if (!p)
		return pluri_fail(err, ENOMEM, "probe: no memory");
	p->c = s;
	p->timeout_ms = c->timeout_ms;
	p->each = each;
	p->arg = arg;
	probe_name(p);
	if (!probe_open(p))
		return 0;
	if (probe_canary(p) && probe_del(p) && conformance)
		probe_conform(p);
	return 0;
}

static int probe_unknown(
	const struct config *c, const char *store, struct pluri_err *err)
{
	const char *names[PLURI_STORES_MAX + 1] = {0};
	const char *near;

	for (unsigned i = 0; i < c->stores; i++)
		names[i] = c->store[i].name;
	near = text_nearest(store, names);
	return pluri_fail(err, ENOENT, "%.300s has no store \"%.64s\"%s%s%s",
		c->file, store, near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
}

int probe_run(const struct config *c, const char *store, bool conformance,
	void (*each)(void *arg, const struct probe_result *r), void *arg,
	struct pluri_err *err)
{
	bool any = !store;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < c->stores; i++) {
		if (store && strcmp(c->store[i].name, store) != 0)
			continue;
		any = true;
		r = probe_store(c, &c->store[i], conformance, each, arg, err);
	}
	return r < 0 || any ? r : probe_unknown(c, store, err);
}
