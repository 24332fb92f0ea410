#include "chat_view.h"

#include <QFrame>
#include <QHBoxLayout>
#include <QScrollBar>
#include <QTextDocument>
#include <QTimer>
#include <cmath>

namespace {

constexpr int kMostWidth = 640;

}  // namespace

ChatView::ChatView(QWidget* parent) : QScrollArea(parent) {
  setWidgetResizable(true);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  talk_ = new QWidget;
  talk_->setObjectName("talk");
  column_ = new QVBoxLayout(talk_);
  column_->setContentsMargins(28, 24, 28, 12);
  column_->setSpacing(14);
  setWidget(talk_);
}

// As wide as its longest line, up to a limit, and as high as all of them.
void ChatView::fit(QTextBrowser* text) const {
  QTextDocument* document = text->document();
  document->setTextWidth(std::min(kMostWidth, viewport()->width() * 7 / 10));
  document->setTextWidth(std::ceil(document->idealWidth()));
  text->setFixedSize(static_cast<int>(document->textWidth()),
                     static_cast<int>(std::ceil(document->size().height())));
}

QTextBrowser* ChatView::add_bubble(bool from_user) {
  auto* bubble = new QFrame;
  bubble->setObjectName(from_user ? "user" : "assistant");
  bubble->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Preferred);
  auto* text = new QTextBrowser;
  text->setFrameShape(QFrame::NoFrame);
  text->setOpenExternalLinks(true);
  text->setFocusPolicy(Qt::NoFocus);
  text->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  text->setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  text->document()->setDocumentMargin(0);
  text->document()->setIndentWidth(22);
  auto* inside = new QVBoxLayout(bubble);
  inside->setContentsMargins(16, 11, 16, 11);
  inside->addWidget(text);
  auto* row = new QHBoxLayout;
  if (from_user) row->addStretch();
  row->addWidget(bubble);
  if (!from_user) row->addStretch();
  column_->insertLayout(column_->count() - 1, row);
  texts_.append(text);
  return text;
}

void ChatView::add_question(const QString& text) {
  if (texts_.isEmpty()) clear("", "");
  QTextBrowser* bubble = add_bubble(true);
  bubble->setPlainText(text);
  QTimer::singleShot(0, bubble, [this, bubble] { fit(bubble); });  // once it has its font
  follow();
}

void ChatView::begin_answer() {
  answer_.clear();
  growing_ = add_bubble(false);
  growing_->setPlainText("…");
  fit(growing_);
  note_ = new QLabel;
  note_->setObjectName("muted");
  note_->setContentsMargins(16, 0, 0, 0);
  note_->hide();
  column_->insertWidget(column_->count() - 1, note_);
  follow();
}

void ChatView::append(const QString& text) {
  if (growing_ == nullptr) return;
  answer_ += text;
  growing_->setMarkdown(answer_);
  fit(growing_);
  follow();
}

void ChatView::end_answer(const QString& note) {
  if (growing_ == nullptr) return;
  if (answer_.isEmpty()) growing_->setPlainText("No answer.");
  fit(growing_);
  note_->setText(note);
  note_->setVisible(!note.isEmpty());
  growing_ = nullptr;
  follow();
}

void ChatView::clear(const QString& title, const QString& text) {
  texts_.clear();
  growing_ = nullptr;
  note_ = nullptr;
  auto* fresh = new QWidget;
  fresh->setObjectName("talk");
  column_ = new QVBoxLayout(fresh);
  column_->setContentsMargins(28, 24, 28, 12);
  column_->setSpacing(14);
  if (!title.isEmpty()) {
    auto* big = new QLabel(title);
    big->setObjectName("title");
    auto* small = new QLabel(text);
    small->setObjectName("muted");
    column_->addStretch(2);
    column_->addWidget(big, 0, Qt::AlignHCenter);
    column_->addWidget(small, 0, Qt::AlignHCenter);
  }
  column_->addStretch(3);
  talk_ = fresh;
  setWidget(fresh);
}

void ChatView::resizeEvent(QResizeEvent* event) {
  QScrollArea::resizeEvent(event);
  for (QTextBrowser* text : texts_) fit(text);
}

// To the end, once the layout knows how long it is; not while somebody reads further up.
void ChatView::follow() {
  QScrollBar* bar = verticalScrollBar();
  if (growing_ != nullptr && !answer_.isEmpty() && bar->value() < bar->maximum() - 80) return;
  QTimer::singleShot(0, bar, [bar] { bar->setValue(bar->maximum()); });
}
