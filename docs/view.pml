/* The view change of docs/design.md: one server, W workers, F FC nodes, FIFO links, STEPS steps;
 * up to CRASHES workers die at any moment. An FC node makes a step once the features of the next
 * turn are here, which say that it is committed, and the server's word that begins that turn, which
 * has its learning rate: these come by other links. Assertions: each FC node and the server apply
 * every step exactly once and in order. No invalid end state: nobody waits for ever.
 *   spin -a view.pml && gcc -O2 -DCOLLAPSE -o pan pan.c && ./pan -m1000000
 */
#ifndef W
#define W 2
#endif
#ifndef F
#define F 2
#endif
#ifndef STEPS
#define STEPS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define CAP 4
#define ALL ((1<<W)-1)

mtype = { VIEW, ADVANCE, PARAMS, X, DX, PUSH, PART };
/* view, step, members */
chan s2w[W] = [CAP] of { mtype, byte, byte, byte };
chan s2f[F] = [CAP] of { mtype, byte, byte, byte };
chan w2s[W] = [CAP] of { mtype, byte, byte };
chan w2f[W*F] = [CAP] of { mtype, byte, byte };
chan f2w[W*F] = [CAP] of { mtype, byte, byte };
chan f2f[F*F] = [CAP] of { mtype, byte, byte };

bool dead[W]; byte crashes = 0; byte serverApplied = 0; byte fcApplied[F];
byte sview = 0; byte smembers = ALL; bool finished = false;

proctype Server() {
  byte got = 0; byte step = 1; byte v, s, m, i; bool changed;
  do
  :: step > STEPS -> break
  :: else ->
     if
     /* noticing a death, at any later moment: a new view, the same step again */
     :: (smembers & (dead[0] | (dead[1]<<1))) != 0 ->
        atomic {
          smembers = smembers & ~(dead[0] | (dead[1]<<1)); sview++; got = 0;
          for (i : 0 .. W-1) { if :: (smembers >> i) & 1 -> s2w[i]!VIEW(sview, step, smembers) :: else fi }
          for (i : 0 .. F-1) { s2f[i]!VIEW(sview, step, smembers) }
        }
     :: w2s[0]?PUSH(v,s) -> if :: v == sview && s == step -> got = got | 1 :: else fi
     :: w2s[1]?PUSH(v,s) -> if :: v == sview && s == step -> got = got | 2 :: else fi
     fi;
     if
     :: smembers != 0 && got == smembers ->
        atomic {
          assert(serverApplied == step - 1); serverApplied = step; step++; got = 0;
          for (i : 0 .. W-1) { if :: (smembers >> i) & 1 -> s2w[i]!PARAMS(sview, step, smembers) :: else fi }
          for (i : 0 .. F-1) { s2f[i]!ADVANCE(sview, step, smembers) }
        }
     :: else
     fi
  od;
  finished = true;
  for (i : 0 .. F-1) { s2f[i]!VIEW(sview+1, step, smembers) }   /* the end is a view too: it commits the last step */
}

proctype Worker(byte id) {
  byte view = 0; byte step = 1; byte v, s, m, i; byte have = 0; bool sent = false;
  do
  :: dead[id] -> break
  :: step > STEPS -> break
  :: atomic { !dead[id] && crashes < CRASHES -> crashes++; dead[id] = true }
  :: s2w[id]?VIEW(v,s,m) -> view = v; step = s; have = 0; sent = false
  :: s2w[id]?PARAMS(v,s,m) -> if :: v == view -> step = s; have = 0; sent = false :: else fi
  :: !sent -> for (i : 0 .. F-1) { if :: dead[id] -> skip :: else -> w2f[id*F+i]!X(view, step) fi }; sent = true
  :: sent && f2w[id*F+0]?[DX(v,s)] ->
       f2w[id*F+0]?DX(v,s) ->
       if :: v == view && s == step -> have = have | 1 :: else fi
  :: sent && F > 1 && f2w[id*F+F-1]?[DX(v,s)] ->
       f2w[id*F+F-1]?DX(v,s) -> if :: v == view && s == step -> have = have | (1<<(F-1)) :: else fi
  :: sent && have == (1<<F)-1 -> have = 0; w2s[id]!PUSH(view, step)
  od;
  /* the dead read nothing any more; links drain into the void */
  endw: if
  :: s2w[id]?_,_,_,_ -> goto endw
  :: f2w[id*F+0]?_,_,_ -> goto endw
  :: f2w[id*F+F-1]?_,_,_ -> goto endw
  fi
}

#define TAKE(w) (len(w2f[w*F+id]) > 0)

proctype FC(byte id) {
  byte view = 0; byte members = ALL; byte committed = 0; byte working = 0; bool complete = false;
  byte v, s, m, i; byte got = 0; byte stage = 0; bool part = false; byte cur = 1; byte announced = 1;
  endfc: do
  :: s2f[id]?VIEW(v,s,m) ->
       /* resume at step s: my working step is s-1 (commit) or s (discard) */
       if
       :: working != 0 && working == s-1 -> assert(committed == working-1); committed = working; fcApplied[id] = committed
       :: working == s -> skip
       :: else -> skip
       fi;
       assert(committed == s-1);
       working = 0; view = v; members = m; cur = s; got = 0; stage = 0; part = false; announced = s
  :: s2f[id]?ADVANCE(v,s,m) -> if :: v == view -> announced = s :: else fi
  :: w2f[0*F+id]?[X(v,s)] ->
       w2f[0*F+id]?<X(v,s)>;
       if
       :: v < view -> w2f[0*F+id]?X(v,s)
       :: v == view && announced >= s -> w2f[0*F+id]?X(v,s); goto takeX0; backX0: skip
       :: v == view && announced < s -> len(s2f[id]) > 0   /* the word that begins its turn is on the way */
       :: v > view -> len(s2f[id]) > 0          /* keep it until the view arrives */
       fi
  :: w2f[1*F+id]?[X(v,s)] ->
       w2f[1*F+id]?<X(v,s)>;
       if
       :: v < view -> w2f[1*F+id]?X(v,s)
       :: v == view && announced >= s -> w2f[1*F+id]?X(v,s); goto takeX1; backX1: skip
       :: v == view && announced < s -> len(s2f[id]) > 0   /* the word that begins its turn is on the way */
       :: v > view -> len(s2f[id]) > 0
       fi
  :: F > 1 && f2f[(F-1-id)*F+id]?[PART(v,s)] ->
       f2f[(F-1-id)*F+id]?<PART(v,s)>;
       if
       :: v < view -> f2f[(F-1-id)*F+id]?PART(v,s)
       :: v == view && (s == cur) -> f2f[(F-1-id)*F+id]?PART(v,s); part = true
       :: v == view && (s > cur) -> (len(w2f[0*F+id]) > 0 || len(w2f[1*F+id]) > 0 || len(s2f[id]) > 0)  /* a peer is one step ahead: its X is on the way to me */
       :: v > view -> len(s2f[id]) > 0
       fi
  :: stage == 0 && got == members && got != 0 -> stage = 1; working = cur;
       if :: F > 1 -> f2f[id*F+(F-1-id)]!PART(view, cur) :: else -> part = true fi
  :: stage == 1 && part -> stage = 2;
       for (i : 0 .. W-1) { if :: ((members >> i) & 1) -> f2w[i*F+id]!DX(view, cur) :: else fi }
  od;
  takeX0: if :: s == cur + 1 && stage == 2 -> assert(committed == working-1); committed = working; fcApplied[id] = committed; cur = s; got = 0; stage = 0; part = false; working = 0 :: else fi;
          if :: s == cur -> got = got | 1 :: else -> assert(s == cur) fi; goto backX0;
  takeX1: if :: s == cur + 1 && stage == 2 -> assert(committed == working-1); committed = working; fcApplied[id] = committed; cur = s; got = 0; stage = 0; part = false; working = 0 :: else fi;
          if :: s == cur -> got = got | 2 :: else -> assert(s == cur) fi; goto backX1
}

init { atomic { run Server(); run Worker(0); run Worker(1); run FC(0); if :: F > 1 -> run FC(1) :: else fi } }
