#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/fuse.h"
#include "fs/fuse_int.h"
#include "fs/fuse_wire.h"
#include "fs/node.h"

#define FUSE_TIMEOUT_S 86400.0 /* of names and attributes in the kernel */
#define FUSE_REQUEST_MAX (1u << 20)
/* What readdir(3) asks for at once. The first answer has all attributes, which
 * costs four times a bare entry and is for nothing where only names are
 * wanted, yet spares a request each where files are looked at: 800 fit. */
#define FUSE_LISTING (128u << 10)
#define FUSE_BACKGROUND 128u
/* More than the kernel's background requests: somebody must be left to hear an
 * interrupt, and to serve names, while reads wait for clouds. */
#define FUSE_THREADS 192u
#define FUSE_DRAIN_MS 60000u /* for the kernel's dirty pages, at a signal */

void fuse_answer_err(fuse_req_t req, int rc, const struct pluri_err *err)
{
	int code = -rc;

	switch (code) {
	case EBADMSG:
	case EAGAIN:
	case ETIMEDOUT:
	case EBUSY:
	case ESTALE:
		/* Words of the house that POSIX programs would misread. */
		if (err && err->code == code) {
			log_line(LOG_ERROR, "%s", err->text);
			code = EIO;
		}
		break;
	case ECANCELED:
		code = EINTR;
		break;
	case EIO:
		if (err && err->code == EIO)
			log_line(LOG_ERROR, "%s", err->text);
		break;
	default:
		break;
	}
	(void)fuse_reply_err(req, code);
}

static struct timespec fuse_time(int64_t t)
{
	int64_t sec = 0;
	int64_t nsec = 0;

	tree_time_split(t, &sec, &nsec);
	return (struct timespec){.tv_sec = sec, .tv_nsec = nsec};
}

void fuse_attr(const struct tree_attr *a, struct stat *ret)
{
	*ret = (struct stat){.st_ino = a->ino,
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size,
		.st_blocks = (blkcnt_t)((a->bytes + 511) / 512),
		.st_blksize =
			S_ISDIR(a->mode) ? FUSE_LISTING : FUSE_REQUEST_MAX};
	ret->st_atim = fuse_time(a->atime_ns);
	ret->st_mtim = fuse_time(a->mtime_ns);
	ret->st_ctim = fuse_time(a->ctime_ns);
}

void fuse_entry_fill(const struct tree_attr *a, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){.ino = a->ino,
		.generation = a->generation,
		.attr_timeout = FUSE_TIMEOUT_S,
		.entry_timeout = FUSE_TIMEOUT_S};
	fuse_attr(a, &e->attr);
}

void fuse_answer_entry(fuse_req_t req, const struct tree_attr *a)
{
	struct volume *v = fuse_volume(req);
	struct fuse_entry_param e;
	const int r = node_looked_up(v->nodes, a->ino);

	if (r < 0) {
		fuse_answer_err(req, r, NULL);
		return;
	}
	fuse_entry_fill(a, &e);
	if (fuse_reply_entry(req, &e) < 0)
		node_forget(v->nodes, a->ino, 1); /* interrupted: unseen */
}

void fuse_answer_attr(fuse_req_t req, const struct tree_attr *a)
{
	struct stat st;

	fuse_attr(a, &st);
	(void)fuse_reply_attr(req, &st, FUSE_TIMEOUT_S);
}

static void fuse_init(void *arg, struct fuse_conn_info *conn)
{
	static const unsigned wanted =
		FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
		FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_READ |
		FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPORT_SUPPORT |
		FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_NO_OPEN_SUPPORT |
		FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_POSIX_ACL |
		FUSE_CAP_DONT_MASK;
	/* ASYNC_DIO: with it the kernel waits for a direct read where no
	 * signal reaches it, and a killed reader stays. ATOMIC_O_TRUNC: the
	 * daemon would have to see each open, see fuse_open(). */
	static const unsigned unwanted =
		FUSE_CAP_ASYNC_DIO | FUSE_CAP_ATOMIC_O_TRUNC |
		FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
		FUSE_CAP_SPLICE_MOVE | FUSE_CAP_FLOCK_LOCKS |
		FUSE_CAP_POSIX_LOCKS | FUSE_CAP_AUTO_INVAL_DATA;
	struct fuse *f = arg;

	conn->want |= conn->capable & wanted;
	conn->want &= ~unwanted;
	conn->want &= ~FUSE_CAP_WRITEBACK_CACHE;
	if (f->v->writeback)
		conn->want |= conn->capable & FUSE_CAP_WRITEBACK_CACHE;
	f->v->writeback = (conn->want & FUSE_CAP_WRITEBACK_CACHE) != 0;
	conn->max_write = FUSE_REQUEST_MAX;
	conn->max_readahead = FUSE_REQUEST_MAX;
	conn->max_background = FUSE_BACKGROUND;
	conn->congestion_threshold = FUSE_BACKGROUND * 3 / 4;
	conn->time_gran = 1;
}

static void fuse_session_drop(struct fuse *f)
{
	if (f->mounted)
		fuse_session_unmount(f->se);
	if (f->signals)
		fuse_remove_signal_handlers(f->se);
	if (f->se)
		fuse_session_destroy(f->se);
	/* With the session its last wait has ended. */
	if (f->drain.done_fd >= 0) {
		(void)pthread_join(f->drain.thread, NULL);
		(void)close(f->drain.done_fd);
	}
	free(f);
}

int fuse_start(struct volume *v, const char *dir, const char *options,
	struct fuse **ret, struct pluri_err *err)
{
	struct fuse_lowlevel_ops ops = {.init = fuse_init};
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse *f = calloc(1, sizeof(*f));
	int r = 0;

	if (!f)
		return pluri_fail(err, ENOMEM, "mount: no memory");
	f->v = v;
	f->dir = dir;
	f->drain.done_fd = -1;
	fuse_files(&ops);
	fuse_ranges(&ops);
	fuse_dirs(&ops);
	fuse_entries(&ops);
	fuse_xattrs(&ops);
	if (fuse_opt_add_arg(&args, "pluri") < 0 ||
		fuse_opt_add_arg(&args, "-o") < 0 ||
		fuse_opt_add_arg(&args, options) < 0)
		r = pluri_fail(err, ENOMEM, "mount: no memory");
	if (r == 0) {
		f->se = fuse_session_new(&args, &ops, sizeof(ops), f);
		if (!f->se)
			r = pluri_fail(err, EINVAL,
				"mount options \"%s\" are "
				"not accepted by libfuse",
				options);
	}
	fuse_opt_free_args(&args);
	if (r == 0 && fuse_set_signal_handlers(f->se) == 0)
		f->signals = true;
	if (r == 0 && fuse_session_mount(f->se, dir) < 0)
		r = pluri_fail(err, errno ? errno : EIO,
			"cannot mount at %s: "
			"is /dev/fuse there, and are you allowed to use it?",
			dir);
	if (r == 0) {
		f->mounted = true;
		r = fuse_wire_attach(f->se, err);
	}
	if (r < 0) {
		fuse_session_drop(f);
		return r;
	}
	*ret = f;
	return 0;
}

/* --- serving -------------------------------------------------------------- */

/*
 * Waiting for the kernel's writes cannot be interrupted. So this thread keeps
 * no descriptor of the session: should the daemon be killed meanwhile, its
 * session closes all the same, which ends the wait.
 */
static void *fuse_drain_main(void *arg)
{
	struct fuse_drain *d = arg;
	const uint64_t one = 1;
	const unsigned keep = (unsigned)d->done_fd;
	int fd = -1;

	if ((keep <= 3 || close_range(3, keep - 1, CLOSE_RANGE_UNSHARE) == 0) &&
		close_range(keep + 1, ~0u, CLOSE_RANGE_UNSHARE) == 0)
		fd = open(d->f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		if (syncfs(fd) < 0)
			log_line(LOG_ERROR, "the kernel's cache: %s",
				strerror(errno));
		(void)close(fd);
	}
	(void)!write(d->done_fd, &one, sizeof(one));
	return NULL;
}

/* Answer one request; nobody else does any more. */
static int fuse_drain_step(struct fuse_session *se, struct fuse_buf *buf)
{
	const int n = fuse_session_receive_buf(se, buf);

	if (n > 0)
		fuse_session_process_buf(se, buf);
	return n == -EINTR ? 1 : n;
}

/*
 * A signal ended the service while the kernel may still hold what programs
 * have written: it is asked for that, and answered until it has given all.
 */
static void fuse_drain(struct fuse *f)
{
	const uint64_t until = clock_mono_ms(clock_system()) + FUSE_DRAIN_MS;
	struct fuse_buf buf = {.mem = NULL};
	struct pollfd p[2] = {{.fd = fuse_session_fd(f->se), .events = POLLIN},
		{.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN}};

	f->drain = (struct fuse_drain){.f = f, .done_fd = p[1].fd};
	if (p[1].fd < 0 || pthread_create(&f->drain.thread, NULL,
				   fuse_drain_main, &f->drain) != 0) {
		f->drain.done_fd = -1;
		if (p[1].fd >= 0)
			(void)close(p[1].fd);
		log_line(LOG_ERROR, "the kernel's cache cannot be asked for");
		return;
	}
	atomic_store(&f->drains, true);
	fuse_session_reset(f->se);
	for (;;) {
		const uint64_t now = clock_mono_ms(clock_system());

		if (now >= until) {
			log_line(LOG_ERROR, "the kernel's cache: given up");
			break;
		}
		if (poll(p, 2, (int)(until - now)) < 0 && errno != EINTR)
			break;
		if (p[1].revents & POLLIN)
			break;
		if (p[0].revents && fuse_drain_step(f->se, &buf) <= 0)
			break;
	}
	free(buf.mem);
}

int fuse_serve(struct fuse *f, struct pluri_err *err)
{
	struct fuse_loop_config *loop = fuse_loop_cfg_create();
	int r;

	if (!loop)
		return pluri_fail(err, ENOMEM, "mount: no memory");
	fuse_loop_cfg_set_clone_fd(loop, 1);
	fuse_loop_cfg_set_idle_threads(loop, 8);
	fuse_loop_cfg_set_max_threads(loop, FUSE_THREADS);
	r = fuse_session_loop_mt(f->se, loop);
	fuse_loop_cfg_destroy(loop);
	if (r < 0)
		return pluri_fail(
			err, -r, "serving the mount: %s", strerror(-r));
	if (r > 0 && f->v->writeback) /* a signal's number: an ordinary end */
		fuse_drain(f);
	return 0;
}

void fuse_stop(struct fuse *f)
{
	if (f)
		fuse_session_drop(f);
}
