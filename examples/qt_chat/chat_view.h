// The conversation: bubbles that scroll, the last of which may be growing.
#pragma once

#include <QLabel>
#include <QScrollArea>
#include <QTextBrowser>
#include <QVBoxLayout>

class ChatView : public QScrollArea {
  Q_OBJECT

 public:
  explicit ChatView(QWidget* parent = nullptr);
  void add_question(const QString& text);
  /// An empty answer that append() fills.
  void begin_answer();
  void append(const QString& text);
  /// Figures, or why there is no more of it.
  void end_answer(const QString& note);
  /// What stands there while there is no conversation.
  void clear(const QString& title, const QString& text);

 protected:
  void resizeEvent(QResizeEvent* event) override;

 private:
  QTextBrowser* add_bubble(bool from_user);
  void fit(QTextBrowser* text) const;
  void follow();

  QWidget* talk_;
  QVBoxLayout* column_;
  QList<QTextBrowser*> texts_;
  QTextBrowser* growing_ = nullptr;
  QLabel* note_ = nullptr;
  QString answer_;
};
