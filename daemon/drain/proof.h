/*
 * Is the sender of a message proven?  With bounce.mode "proven" no report leaves
 * before that was asked; who can answer is named to the drain by
 * drain_options.proof.
 */
#ifndef MX_DRAIN_PROOF_H
#define MX_DRAIN_PROOF_H

struct envelope;

enum proof {
	PROOF_PASS,  /* the reverse-path's domain let this client send for it */
	PROOF_NONE,  /* or it did not, or does not say */
	PROOF_LATER, /* not to be known now: ask again */
};

typedef void give_up_proof_cb(enum proof proof, void *arg);

struct give_up_proof {
	/*
	 * cb is called once, after this call has returned, unless it is
	 * cancelled.  The envelope is valid during the call.  The question is
	 * the callee's, and gone when cb was called.  Never asked of <> or
	 * of our own reports.  A few hundred questions wait at a time.
	 */
	void *(*ask)(const struct envelope *env, give_up_proof_cb *cb,
		     void *cb_arg, void *arg);
	void (*cancel)(void *question, void *arg);
	void *arg;
};

#endif
