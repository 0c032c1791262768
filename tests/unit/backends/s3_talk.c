#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/call.h"

#include "tests/unit/backends/s3_talk.h"

#define SECRET "the-secret-nobody-may-see"

static int secret(void *ctx, const char *name, int fresh, char *to, size_t cap,
	struct pluri_err *err)
{
	struct s3_talk *t = ctx;
	const char *v = NULL;

	t->fresh += fresh != 0;
	if (strcmp(name, "access_key_id") == 0)
		v = t->fresh && t->rotated ? t->rotated : "first-id";
	if (strcmp(name, "secret_access_key") == 0)
		v = SECRET;
	if (!v)
		return pluri_fail(err, ENOENT, "no such line");
	assert_true(strlen(v) < cap);
	memcpy(to, v, strlen(v) + 1);
	return 0;
}

static const char *option(void *ctx, const char *name)
{
	const struct s3_talk *t = ctx;
	const size_t n = strlen(name);

	if (!t->option || strncmp(t->option, name, n) || t->option[n] != '=')
		return NULL;
	return t->option + n + 1;
}

static int gather(void *arg, const char *key, uint64_t size)
{
	struct s3_talk *t = arg;
	const size_t n = strlen(t->listed);

	(void)size;
	(void)snprintf(t->listed + n, sizeof(t->listed) - n, "%s ", key);
	return 0;
}

struct s3_talk *s3_talk_new(
	const struct scripted_step *s, size_t n, const char *opt)
{
	struct s3_talk *t = calloc(1, sizeof(*t));
	char url[100];

	assert_non_null(t);
	t->server = scripted_new(s, n);
	assert_non_null(t->server);
	t->option = opt;
	t->host = (struct pluri_host){.abi = PLURI_BACKEND_ABI,
		.size = sizeof(t->host),
		.ctx = t,
		.secret = secret,
		.option = option};
	t->page = (struct pluri_page){.each = gather, .arg = t};
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/bucket/pre",
		scripted_port(t->server));
	t->ops = pluri_backend_entry();
	assert_int_equal(t->ops->open(&t->host, url, &t->b, &t->err), 0);
	return t;
}

void s3_talk_free(struct s3_talk *t)
{
	t->ops->close(t->b);
	scripted_free(t->server);
	free(t);
}

static int told(struct s3_talk *t, int r)
{
	if (r < 0) {
		assert_int_equal(t->err.code, -r);
		assert_true(strlen(t->err.text) > 0);
		assert_null(strstr(t->err.text, SECRET));
	}
	return r;
}

static void begin(struct s3_talk *t)
{
	t->err = (struct pluri_err){0};
	t->call = (struct pluri_call){.deadline_ms = call_now_ms() + WAIT_MS};
}

int s3_talk_get(struct s3_talk *t, uint64_t off, size_t cap)
{
	begin(t);
	assert_true(cap <= sizeof(t->bytes));
	memset(t->bytes, 0, sizeof(t->bytes));
	t->room = (struct pluri_room){.data = t->bytes, .cap = cap};
	return told(t, t->ops->get(t->b, &t->call, "k", off, &t->room, &t->size,
			       &t->err));
}

static int body_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	(void)err;
	memcpy(to, (const char *)arg + off, len);
	return 0;
}

int s3_talk_put(struct s3_talk *t, uint32_t flags)
{
	static char text[] = "body";
	const struct pluri_body body = {4, body_read, text};

	begin(t);
	return told(t, t->ops->put(t->b, &t->call, "k", &body, flags, &t->err));
}

int s3_talk_del(struct s3_talk *t)
{
	begin(t);
	return told(t, t->ops->del(t->b, &t->call, "k", &t->err));
}

int s3_talk_list(struct s3_talk *t, const char *prefix)
{
	begin(t);
	t->listed[0] = 0;
	return told(t, t->ops->list(t->b, &t->call, prefix, &t->page, &t->err));
}

uint64_t s3_talk_caps(const struct s3_talk *t)
{
	struct pluri_limits l;

	t->ops->limits(t->b, &l);
	return l.caps;
}

int s3_talk_sent(struct s3_talk *t, unsigned i, const char *text)
{
	return strstr(scripted_request(t->server, i), text) != NULL;
}
