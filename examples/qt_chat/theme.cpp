#include "theme.h"

#include <QFont>
#include <QPalette>
#include <QStyleFactory>

const Theme& Theme::light() {
  static const Theme theme = {QColor("#f6f6f8"), QColor("#ececf0"), QColor("#ffffff"),
                              QColor("#dddde3"), QColor("#1c1c20"), QColor("#6c6c76"),
                              QColor("#3563e9"), QColor("#ffffff"), QColor("#3563e9"),
                              QColor("#12a594"), QColor("#e0912f"), false};
  return theme;
}

const Theme& Theme::dark_one() {
  static const Theme theme = {QColor("#17181c"), QColor("#1f2026"), QColor("#282a31"),
                              QColor("#383a43"), QColor("#ececf1"), QColor("#9697a3"),
                              QColor("#5b86ff"), QColor("#ffffff"), QColor("#5b86ff"),
                              QColor("#2cc5b0"), QColor("#f0a64b"), true};
  return theme;
}

void Theme::apply(QApplication& app) const {
  app.setStyle(QStyleFactory::create("Fusion"));
  QFont font = QApplication::font();
  font.setFamilies({"Inter", "Cantarell", "Noto Sans", font.family()});
  font.setPointSizeF(10.5);
  app.setFont(font);
  QPalette palette;
  palette.setColor(QPalette::Window, window);
  palette.setColor(QPalette::WindowText, text);
  palette.setColor(QPalette::Base, card);
  palette.setColor(QPalette::AlternateBase, sidebar);
  palette.setColor(QPalette::Text, text);
  palette.setColor(QPalette::Button, card);
  palette.setColor(QPalette::ButtonText, text);
  palette.setColor(QPalette::PlaceholderText, muted);
  palette.setColor(QPalette::Highlight, accent);
  palette.setColor(QPalette::HighlightedText, accent_text);
  palette.setColor(QPalette::Link, accent);
  palette.setColor(QPalette::ToolTipBase, card);
  palette.setColor(QPalette::ToolTipText, text);
  app.setPalette(palette);

  QString sheet = R"(
    QWidget#sidebar { background: @sidebar; border-right: 1px solid @border; }
    QLabel#title { font-size: 17pt; font-weight: 700; }
    QLabel#heading { color: @muted; font-size: 8.5pt; font-weight: 600; letter-spacing: 1px; }
    QLabel#muted { color: @muted; font-size: 9pt; }
    QLabel#name { font-size: 12pt; font-weight: 600; }
    QLabel#problem { color: #d64545; font-size: 9.5pt; }
    QWidget#header { background: @window; border-bottom: 1px solid @border; }
    QListWidget { background: transparent; border: none; outline: none; }
    QListWidget::item { border-radius: 8px; padding: 8px 10px; margin: 1px 0; }
    QListWidget::item:hover { background: @hover; }
    QListWidget::item:selected { background: @card; color: @text; border: 1px solid @border; }
    QFrame#card { background: @card; border: 1px solid @border; border-radius: 10px; }
    QFrame#user { background: @accent; border-radius: 14px; }
    QTextBrowser { background: transparent; border: none; }
    QFrame#user QTextBrowser { color: @accent_text; }
    QFrame#assistant { background: @card; border: 1px solid @border; border-radius: 14px; }
    QFrame#composer { background: @card; border: 1px solid @border; border-radius: 14px; }
    QPlainTextEdit { background: transparent; border: none; }
    QScrollArea { background: transparent; border: none; }
    QWidget#talk { background: @window; }
    QPushButton { background: @card; border: 1px solid @border; border-radius: 8px; padding: 6px 12px; }
    QPushButton:hover { background: @hover; }
    QPushButton:disabled { color: @muted; }
    QPushButton#send { background: @accent; color: @accent_text; border: none; border-radius: 10px;
                       padding: 8px 18px; font-weight: 600; }
    QPushButton#send:disabled { background: @border; color: @muted; }
    QPushButton#stop { background: @text; color: @window; border: none; border-radius: 10px;
                       padding: 8px 18px; font-weight: 600; }
    QPushButton#flat { background: transparent; border: none; color: @muted; padding: 6px 8px; }
    QPushButton#flat:hover { color: @text; }
    QComboBox { background: @card; border: 1px solid @border; border-radius: 8px; padding: 4px 10px; }
    QComboBox QAbstractItemView { background: @card; border: 1px solid @border; }
    QComboBox::drop-down { border: none; width: 24px; }
    QProgressBar { background: @border; border: none; border-radius: 3px; max-height: 6px; }
    QProgressBar::chunk { background: @accent; border-radius: 3px; }
    QScrollBar:vertical { background: transparent; width: 10px; margin: 2px; }
    QScrollBar::handle:vertical { background: @border; border-radius: 3px; min-height: 30px; }
    QScrollBar::add-line, QScrollBar::sub-line { height: 0; }
  )";
  const QColor hover = dark ? QColor("#2e3038") : QColor("#e2e2e8");
  const std::pair<const char*, QColor> colours[] = {{"@accent_text", accent_text},
                                                    {"@accent", accent},
                                                    {"@window", window},
                                                    {"@sidebar", sidebar},
                                                    {"@card", card},
                                                    {"@border", border},
                                                    {"@text", text},
                                                    {"@muted", muted},
                                                    {"@hover", hover}};
  for (const auto& [name, colour] : colours) sheet.replace(name, colour.name());
  app.setStyleSheet(sheet);
}
