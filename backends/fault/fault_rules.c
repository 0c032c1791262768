#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/text.h"

#include "backends/fault/fault.h"

#define FAULT_NUMBER_MAX (UINT64_C(1) << 40)
#define FAULT_MILLION 1000000u

enum fault_mode {
	FAULT_ERROR,
	FAULT_DELAY,
	FAULT_HANG,
	FAULT_TRUNCATE,
	FAULT_FLIP,
	FAULT_NOTFOUND,
	FAULT_FULL,
	FAULT_LIST_CUT,
	FAULT_LIST_FAIL,
	FAULT_LOST,
	FAULT_LATE,
};

struct fault_rule {
	enum fault_mode mode;
	int code;
	unsigned ops;
	char key[PLURI_OBJECT_KEY_MAX + 1]; /* "": any */
	uint64_t nth, every; /* 0: not asked for */
	uint64_t millionths; /* of p; FAULT_MILLION: always */
	uint64_t seed, delay_ms, bytes, keys;
	bool hard;
	uint64_t calls; /* that matched so far */
};

struct fault_rules {
	const char *path;
	pthread_mutex_t lock; /* guards what follows */
	bool known; /* text is what the file says */
	char text[FAULT_FILE_MAX + 1]; /* zeroed to its end */
	uint64_t version; /* 0: never read */
	struct fault_rule rules[FAULT_RULES_MAX];
	unsigned n;
	struct pluri_err err; /* code 0 when the text was understood */
};

static const struct {
	const char *name;
	enum fault_mode mode;
	unsigned ops; /* that it can hit */
} fault_modes[] = {
	{"error", FAULT_ERROR, FAULT_ALL},
	{"delay", FAULT_DELAY, FAULT_ALL},
	{"hang", FAULT_HANG, FAULT_ALL},
	{"truncate", FAULT_TRUNCATE, FAULT_GET | FAULT_PUT},
	{"flip", FAULT_FLIP, FAULT_GET | FAULT_PUT},
	{"notfound", FAULT_NOTFOUND, FAULT_ALL},
	{"full", FAULT_FULL, FAULT_PUT},
	{"list-cut", FAULT_LIST_CUT, FAULT_LIST},
	{"list-fail", FAULT_LIST_FAIL, FAULT_LIST},
	{"lost-answer", FAULT_LOST, FAULT_ALL},
	{"late", FAULT_LATE, FAULT_ALL},
};

int fault_rules_new(
	const char *path, struct fault_rules **ret, struct pluri_err *err)
{
	struct fault_rules *r = calloc(1, sizeof(*r));

	if (!r)
		return pluri_fail(err, ENOMEM, "out of memory");
	r->path = path;
	(void)pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

void fault_rules_free(struct fault_rules *r)
{
	if (r)
		(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* --- reading ------------------------------------------------------------ */

static int fault_code(const char *name)
{
	for (int e = 1; e < 200; e++) {
		const char *known = strerrorname_np(e);

		if (known && strcmp(known, name) == 0)
			return e;
	}
	return 0;
}

static unsigned fault_op(const char *name)
{
	static const char *const names[] = {"get", "put", "del", "list"};

	for (unsigned i = 0; i < 4; i++)
		if (strcmp(names[i], name) == 0)
			return 1u << i;
	return strcmp(name, "all") == 0 ? FAULT_ALL : 0;
}

/* "0.25", "1", ".5": millionths. */
static int fault_chance(const char *s, uint64_t *ret)
{
	uint64_t unit = FAULT_MILLION;
	uint64_t sum = 0;

	if (strcmp(s, "1") == 0) {
		*ret = FAULT_MILLION;
		return 0;
	}
	s += *s == '0';
	if (*s != '.' || s[1] == 0)
		return -EINVAL;
	for (s++; *s; s++) {
		if (*s < '0' || *s > '9' || unit < 10)
			return -EINVAL;
		unit /= 10;
		sum += unit * (uint64_t)(*s - '0');
	}
	*ret = sum;
	return 0;
}

static uint64_t *fault_number(struct fault_rule *r, const char *name)
{
	if (strcmp(name, "nth") == 0)
		return &r->nth;
	if (strcmp(name, "every") == 0)
		return &r->every;
	if (strcmp(name, "seed") == 0)
		return &r->seed;
	if (strcmp(name, "delay_ms") == 0)
		return &r->delay_ms;
	if (strcmp(name, "bytes") == 0)
		return &r->bytes;
	return strcmp(name, "keys") == 0 ? &r->keys : NULL;
}

static int fault_word(struct fault_rule *r, char *word)
{
	char *value = strchr(word, '=');
	uint64_t *number;
	int e;

	if (!value) {
		r->hard = strcmp(word, "hard") == 0;
		return r->hard ? 0 : -EINVAL;
	}
	*value++ = 0;
	if (strcmp(word, "op") == 0) {
		r->ops &= fault_op(value);
		return r->ops ? 0 : -EINVAL;
	}
	if (strcmp(word, "key") == 0) {
		if (!*value || strlen(value) >= sizeof(r->key))
			return -EINVAL;
		memcpy(r->key, value, strlen(value) + 1);
		return 0;
	}
	if (strcmp(word, "p") == 0)
		return fault_chance(value, &r->millionths);
	number = fault_number(r, word);
	if (!number)
		return -EINVAL;
	e = text_uint(value, FAULT_NUMBER_MAX, number, NULL);
	/* counting from 0 would be a fault that never comes */
	return *number == 0 && (number == &r->nth || number == &r->every)
		       ? -EINVAL
		       : e;
}

static int fault_mode(struct fault_rule *r, const char *name)
{
	for (size_t i = 0; i < sizeof(fault_modes) / sizeof(fault_modes[0]);
		i++)
		if (strcmp(fault_modes[i].name, name) == 0) {
			r->mode = fault_modes[i].mode;
			r->ops = fault_modes[i].ops;
			return 0;
		}
	return -EINVAL;
}

/* One line: 1 a rule, 0 nothing, -EINVAL with the word in *ret_word. */
static int fault_line(struct fault_rule *r, char *line, const char **ret_word)
{
	char *save = NULL;
	char *word = strtok_r(line, " \t\r", &save);

	*r = (struct fault_rule){
		.millionths = FAULT_MILLION, .keys = 1, .bytes = 1};
	if (!word || *word == '#')
		return 0;
	*ret_word = word;
	if (fault_mode(r, word) < 0)
		return -EINVAL;
	if (r->mode == FAULT_ERROR) {
		*ret_word = "error";
		word = strtok_r(NULL, " \t\r", &save);
		r->code = word ? fault_code(word) : 0;
		if (r->code == 0)
			return -EINVAL;
	}
	while ((word = strtok_r(NULL, " \t\r", &save))) {
		*ret_word = word;
		if (fault_word(r, word) < 0)
			return -EINVAL;
	}
	*ret_word = "delay without delay_ms";
	return r->mode == FAULT_DELAY && r->delay_ms == 0 ? -EINVAL : 1;
}

static void fault_parse(struct fault_rules *r)
{
	char copy[FAULT_FILE_MAX + 1];
	char *next = copy;
	const char *word = "";
	int k = 0;

	r->n = 0;
	r->err.code = 0;
	memcpy(copy, r->text, sizeof(copy));
	for (unsigned number = 1; next; number++) {
		char *line = strsep(&next, "\n");

		if (r->n < FAULT_RULES_MAX)
			k = fault_line(&r->rules[r->n], line, &word);
		if (k < 0 || r->n == FAULT_RULES_MAX) {
			(void)pluri_fail(&r->err, EINVAL, "%.200s:%u: %s\"%s\"",
				r->path, number,
				k < 0 ? "not understood: " : "too many rules",
				k < 0 ? word : "");
			return;
		}
		r->n += (unsigned)k;
	}
}

static int fault_slurp(const char *path, char *to)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len <= FAULT_FILE_MAX) {
		n = read(fd, to + len, FAULT_FILE_MAX + 1 - len);
		if (n > 0)
			len += (size_t)n;
	}
	(void)close(fd);
	if (n < 0 || len > FAULT_FILE_MAX)
		return n < 0 ? -EIO : -EFBIG;
	/* cleared to its end, so that texts compare as a whole */
	memset(to + len, 0, FAULT_FILE_MAX + 1 - len);
	return 0;
}

/* Lock held. */
static void fault_refresh(struct fault_rules *r)
{
	char fresh[FAULT_FILE_MAX + 1];
	const int e = fault_slurp(r->path, fresh);

	if (e < 0) {
		r->version += r->known || r->version == 0;
		r->known = false;
		r->n = 0;
		(void)pluri_fail(
			&r->err, EINVAL, "%.200s: %s", r->path, strerror(-e));
		return;
	}
	if (r->known && memcmp(fresh, r->text, sizeof(fresh)) == 0)
		return;
	r->known = true;
	memcpy(r->text, fresh, sizeof(fresh));
	r->version++;
	fault_parse(r);
}

bool fault_rules_changed(struct fault_rules *r, uint64_t version)
{
	bool changed;

	(void)pthread_mutex_lock(&r->lock);
	fault_refresh(r);
	changed = r->version != version;
	(void)pthread_mutex_unlock(&r->lock);
	return changed;
}

/* --- deciding ----------------------------------------------------------- */

static uint64_t fault_draw(const struct fault_rule *r)
{
	uint64_t z = r->seed + r->calls * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool fault_fires(struct fault_rule *r, unsigned op, const char *key)
{
	if (!(r->ops & op) || !strstr(key, r->key))
		return false;
	r->calls++;
	if (r->nth)
		return r->calls == r->nth;
	if (r->every)
		return r->calls % r->every == 0;
	return fault_draw(r) % FAULT_MILLION < r->millionths;
}

static void fault_apply(const struct fault_rule *r, struct fault_plan *p)
{
	switch (r->mode) {
	case FAULT_ERROR:
		p->code = p->code ? p->code : r->code;
		break;
	case FAULT_DELAY:
		p->delay_ms += r->delay_ms;
		break;
	case FAULT_HANG:
		p->hang = true;
		p->hard = r->hard;
		p->hang_ms = r->delay_ms;
		break;
	case FAULT_TRUNCATE:
		p->truncate = r->bytes;
		break;
	case FAULT_FLIP:
		p->flip = true;
		p->chance = fault_draw(r);
		break;
	case FAULT_NOTFOUND:
		p->notfound = true;
		break;
	case FAULT_FULL:
		p->code = p->code ? p->code : ENOSPC;
		break;
	case FAULT_LIST_CUT:
	case FAULT_LIST_FAIL:
		p->cut = true;
		p->keys = (uint32_t)r->keys;
		p->cut_code = r->mode == FAULT_LIST_FAIL ? EAGAIN : 0;
		break;
	case FAULT_LOST:
		p->lost = true;
		break;
	case FAULT_LATE:
		p->late = true;
		p->late_ms = r->delay_ms ? r->delay_ms : 50;
		break;
	default:
		break;
	}
}

int fault_rules_ask(struct fault_rules *r, unsigned op, const char *key,
	struct fault_plan *ret, struct pluri_err *err)
{
	struct fault_plan plan = {0};
	int code = 0;

	if (!r->path) {
		*ret = plan;
		return 0;
	}
	(void)pthread_mutex_lock(&r->lock);
	fault_refresh(r);
	plan.version = r->version;
	if (r->err.code)
		code = pluri_fail(err, EINVAL, "fault: %s", r->err.text);
	for (unsigned i = 0; i < r->n && code == 0; i++)
		if (fault_fires(&r->rules[i], op, key))
			fault_apply(&r->rules[i], &plan);
	(void)pthread_mutex_unlock(&r->lock);
	if (code == 0)
		*ret = plan;
	return code;
}
