/*
 * The red-black trees of std::map and std::set. A tree's header is a node too: its parent is the root, its left the first
 * node, its right the last one, and it is red, by which end() is known from a root.
 */
#include "shim.h"

enum colour { RED, BLACK };

struct node {
  int colour;
  struct node *parent, *left, *right;
};

struct node *increment(struct node *node) CXX("_ZSt18_Rb_tree_incrementPSt18_Rb_tree_node_base");
struct node *increment(struct node *node) {
  if (node->right != NULL) {
    node = node->right;
    while (node->left != NULL) node = node->left;
    return node;
  }
  struct node *above = node->parent;
  while (node == above->right) {
    node = above;
    above = above->parent;
  }
  /* From a root without a right child the way up ends in the header, whose right is that root. */
  return node->right != above ? above : node;
}

struct node *decrement(struct node *node) CXX("_ZSt18_Rb_tree_decrementPSt18_Rb_tree_node_base");
struct node *decrement(struct node *node) {
  const int isHeader = node->colour == RED && node->parent->parent == node;
  if (isHeader) return node->right;
  if (node->left != NULL) {
    node = node->left;
    while (node->right != NULL) node = node->right;
    return node;
  }
  struct node *above = node->parent;
  while (node == above->left) {
    node = above;
    above = above->parent;
  }
  return above;
}

/* Makes whatever points down to `old` point to `new`. */
static void replaceBelow(struct node *old, struct node *new, struct node *header) {
  if (header->parent == old) header->parent = new;
  else if (old->parent->left == old) old->parent->left = new;
  else old->parent->right = new;
}

static void rotate(struct node *node, int toLeft, struct node *header) {
  struct node *child = toLeft ? node->right : node->left, *middle = toLeft ? child->left : child->right;
  if (toLeft) node->right = middle;
  else node->left = middle;
  if (middle != NULL) middle->parent = node;
  replaceBelow(node, child, header);
  child->parent = node->parent;
  if (toLeft) child->left = node;
  else child->right = node;
  node->parent = child;
}

static int isRed(const struct node *node) {
  return node != NULL && node->colour == RED;
}

void insertNode(int atLeft, struct node *node, struct node *parent, struct node *header)
    CXX("_ZSt29_Rb_tree_insert_and_rebalancebPSt18_Rb_tree_node_baseS0_RS_");
void insertNode(int atLeft, struct node *node, struct node *parent, struct node *header) {
  /* A C++ bool: its other bits mean nothing. */
  atLeft &= 0xff;
  node->parent = parent;
  node->left = node->right = NULL;
  node->colour = RED;
  if (parent == header) {
    header->parent = header->left = header->right = node;
  } else if (atLeft) {
    parent->left = node;
    if (header->left == parent) header->left = node;
  } else {
    parent->right = node;
    if (header->right == parent) header->right = node;
  }
  while (node != header->parent && node->parent->colour == RED) {
    struct node *father = node->parent, *grand = father->parent;
    const int fatherIsLeft = father == grand->left;
    struct node *uncle = fatherIsLeft ? grand->right : grand->left;
    if (isRed(uncle)) {
      father->colour = uncle->colour = BLACK;
      grand->colour = RED;
      node = grand;
      continue;
    }
    if (node == (fatherIsLeft ? father->right : father->left)) {
      rotate(father, fatherIsLeft, header);
      node = father;
      father = node->parent;
    }
    father->colour = BLACK;
    grand->colour = RED;
    rotate(grand, !fatherIsLeft, header);
  }
  header->parent->colour = BLACK;
}

/* Gives the paths through `node`, which may be NULL, the black node back that they lost. */
static void repair(struct node *node, struct node *parent, struct node *header) {
  while (node != header->parent && !isRed(node)) {
    const int isLeft = node == parent->left;
    struct node *sibling = isLeft ? parent->right : parent->left;
    if (sibling->colour == RED) {
      sibling->colour = BLACK;
      parent->colour = RED;
      rotate(parent, isLeft, header);
      sibling = isLeft ? parent->right : parent->left;
    }
    struct node *far = isLeft ? sibling->right : sibling->left, *near = isLeft ? sibling->left : sibling->right;
    if (!isRed(far) && !isRed(near)) {
      sibling->colour = RED;
      node = parent;
      parent = parent->parent;
      continue;
    }
    if (!isRed(far)) {
      near->colour = BLACK;
      sibling->colour = RED;
      rotate(sibling, !isLeft, header);
      sibling = isLeft ? parent->right : parent->left;
      far = isLeft ? sibling->right : sibling->left;
    }
    sibling->colour = parent->colour;
    parent->colour = BLACK;
    far->colour = BLACK;
    rotate(parent, isLeft, header);
    break;
  }
  if (node != NULL) node->colour = BLACK;
}

struct node *eraseNode(struct node *gone, struct node *header)
    CXX("_ZSt28_Rb_tree_rebalance_for_erasePSt18_Rb_tree_node_baseRS_");
struct node *eraseNode(struct node *gone, struct node *header) {
  /* While the tree is whole, its first and last nodes are found by stepping. */
  if (header->left == gone) header->left = gone->right != NULL ? increment(gone) : gone->parent;
  if (header->right == gone) header->right = gone->left != NULL ? decrement(gone) : gone->parent;
  struct node *raised, *parent;
  int lost;
  if (gone->left != NULL && gone->right != NULL) {
    struct node *next = gone->right;
    while (next->left != NULL) next = next->left;
    lost = next->colour;
    raised = next->right;
    if (next == gone->right) {
      parent = next;
    } else {
      parent = next->parent;
      parent->left = raised;
      if (raised != NULL) raised->parent = parent;
      next->right = gone->right;
      gone->right->parent = next;
    }
    next->left = gone->left;
    gone->left->parent = next;
    replaceBelow(gone, next, header);
    next->parent = gone->parent;
    next->colour = gone->colour;
  } else {
    raised = gone->left != NULL ? gone->left : gone->right;
    parent = gone->parent;
    lost = gone->colour;
    replaceBelow(gone, raised, header);
    if (raised != NULL) raised->parent = parent;
  }
  if (lost == BLACK) repair(raised, parent, header);
  return gone;
}
