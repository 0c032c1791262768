#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "fs/fuse.h"
#include "fs/fuse_int.h"
#include "fs/fuse_wire.h"
#include "fs/node.h"

#define FUSE_TIMEOUT_S 86400.0 /* of names and attributes in the kernel */
#define FUSE_REQUEST_MAX (1u << 20)
#define FUSE_BACKGROUND 128u
/* More than the kernel's background requests: somebody must be left to hear an
 * interrupt, and to serve names, while reads wait for clouds. */
#define FUSE_THREADS 192u

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
		.st_blksize = FUSE_REQUEST_MAX};
	ret->st_atim.tv_sec = a->atime_ns / 1000000000;
	ret->st_atim.tv_nsec = a->atime_ns % 1000000000;
	ret->st_mtim.tv_sec = a->mtime_ns / 1000000000;
	ret->st_mtim.tv_nsec = a->mtime_ns % 1000000000;
	ret->st_ctim.tv_sec = a->ctime_ns / 1000000000;
	ret->st_ctim.tv_nsec = a->ctime_ns % 1000000000;
	/* Before 1970 the division leaves a negative rest. */
	if (ret->st_atim.tv_nsec < 0) {
		ret->st_atim.tv_nsec += 1000000000;
		ret->st_atim.tv_sec--;
	}
	if (ret->st_mtim.tv_nsec < 0) {
		ret->st_mtim.tv_nsec += 1000000000;
		ret->st_mtim.tv_sec--;
	}
	if (ret->st_ctim.tv_nsec < 0) {
		ret->st_ctim.tv_nsec += 1000000000;
		ret->st_ctim.tv_sec--;
	}
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
		FUSE_CAP_ASYNC_DIO | FUSE_CAP_WRITEBACK_CACHE |
		FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ |
		FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
		FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS |
		FUSE_CAP_AUTO_INVAL_DATA;

	(void)arg;
	conn->want |= conn->capable & wanted;
	conn->want &= ~unwanted;
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
	return 0; /* a signal's number is an ordinary end */
}

void fuse_stop(struct fuse *f)
{
	if (f)
		fuse_session_drop(f);
}
